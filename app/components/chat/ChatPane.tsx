import { localModel } from '../../catalogue';
import type { ChatVerbs } from '../../hooks/useChat';
import type { EngineVerbs } from '../../hooks/useEngine';
import { useFileArrivals } from '../../hooks/useFileArrivals';
import { useStopKey } from '../../hooks/useStopKey';
import type { State } from '../../state/state';
import { Announcer } from './Announcer';
import { Composer } from './Composer';
import { StatusLine } from './StatusLine';
import { Transcript } from './Transcript';

interface ChatPaneProps {
  readonly state: State;
  readonly engine: EngineVerbs;
  readonly chat: ChatVerbs;
}

export function ChatPane({ state, engine, chat }: ChatPaneProps) {
  const dropping = useFileArrivals({
    onPicture: (file) => chat.attach(file, file.name),
    onModel: (file) => engine.load(localModel(file)),
  });
  useStopKey(state.chat.turn.phase === 'answering', chat.stop);
  return (
    <section className="chat" aria-label="Chat">
      <Transcript state={state} engine={engine} chat={chat} />
      <div className="dock">
        <StatusLine state={state} engine={engine} chat={chat} />
        <Composer state={state} chat={chat} />
      </div>
      <Announcer messages={state.chat.messages} />
      {dropping && (
        <div className="drop-veil">
          <p>Drop a picture to ask about it, or a GGUF file to chat with it. It stays on this device.</p>
        </div>
      )}
    </section>
  );
}
