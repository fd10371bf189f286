import { useState } from 'react';
import { localModel } from '../../catalogue';
import type { ChatVerbs } from '../../hooks/useChat';
import type { EngineVerbs } from '../../hooks/useEngine';
import { useFileArrivals } from '../../hooks/useFileArrivals';
import type { ShelfVerbs } from '../../hooks/useShelf';
import { useStopKey } from '../../hooks/useStopKey';
import type { State } from '../../state/state';
import { Announcer } from './Announcer';
import { Composer } from './Composer';
import { ElsewhereNotice } from './ElsewhereNotice';
import { SettingsDialog } from './SettingsDialog';
import { StatusLine } from './StatusLine';
import { Transcript } from './Transcript';

interface ChatPaneProps {
  readonly state: State;
  readonly engine: EngineVerbs;
  readonly chat: ChatVerbs;
  readonly shelf: ShelfVerbs;
}

export function ChatPane({ state, engine, chat, shelf }: ChatPaneProps) {
  const [settings, setSettings] = useState(false);
  const { turn, messages, access } = state.chat;
  const dropping = useFileArrivals({
    onPicture: (file) => chat.attach(file, file.name),
    onModel: (file) => engine.load(localModel(file)),
  });
  useStopKey(turn.phase === 'answering', chat.stop);
  const { problem } = state.shelf;
  return (
    <section className="chat" aria-label="Chat">
      <Transcript state={state} engine={engine} chat={chat} onNewChat={shelf.newChat} />
      <div className="dock">
        {problem && (
          <p className="notice problem" role="alert">
            {problem}
          </p>
        )}
        {access === 'elsewhere' && <ElsewhereNotice onTakeOver={shelf.takeOver} />}
        <StatusLine state={state} engine={engine} shelf={shelf} onSettings={() => setSettings(true)} />
        <Composer state={state} chat={chat} />
      </div>
      <Announcer messages={messages} answering={turn.phase === 'answering' ? turn.answerId : undefined} />
      {settings && <SettingsDialog state={state} chat={chat} onClose={() => setSettings(false)} />}
      {dropping && (
        <div className="drop-veil">
          <p>Drop a picture to ask about it, or a GGUF file to chat with it. It stays on this device.</p>
        </div>
      )}
    </section>
  );
}
