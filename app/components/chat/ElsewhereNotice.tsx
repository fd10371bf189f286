import { useState } from 'react';

/** Another tab writes this chat: it can be read here, or taken over. */
export function ElsewhereNotice({ onTakeOver }: { onTakeOver(): void }) {
  const [asked, setAsked] = useState(false);
  return (
    <div className="elsewhere" role="status">
      <p>This chat is open in another tab, which writes it. Here it can be read, and follows along.</p>
      <button
        type="button"
        className="outlined"
        disabled={asked}
        onClick={() => {
          setAsked(true);
          onTakeOver();
        }}
      >
        {asked ? 'Asking the other tab…' : 'Write here instead'}
      </button>
    </div>
  );
}
