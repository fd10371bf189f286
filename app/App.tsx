import { useReducer, useState } from 'react';
import { ChatPane } from './components/chat/ChatPane';
import { ChatShelf } from './components/conversations/ChatShelf';
import { Header } from './components/Header';
import { ModelCard } from './components/model/ModelCard';
import { ModelsPlace } from './components/models/ModelsPlace';
import { RouterPlace } from './components/router/RouterPlace';
import { RoutingPanel } from './components/routing/RoutingPanel';
import { lastChat } from './conversations/address';
import { loadDraft } from './hooks/draft';
import { useChat } from './hooks/useChat';
import { useEngine } from './hooks/useEngine';
import { useKeptModel } from './hooks/useKeptModel';
import { useLibrary } from './hooks/useLibrary';
import { usePlace } from './hooks/usePlace';
import { useShelf } from './hooks/useShelf';
import { useWornAdapters } from './hooks/useWornAdapters';
import { reducer } from './state/reducer';
import { initialState } from './state/state';

export function App() {
  const [state, dispatch] = useReducer(reducer, undefined, () => initialState(loadDraft(), lastChat()));
  const engine = useEngine(dispatch);
  const chat = useChat(state, dispatch, engine);
  useKeptModel(state.engine);
  useWornAdapters(state, dispatch, engine);
  const library = useLibrary();
  const place = usePlace();
  const shelf = useShelf(state, dispatch, chat, place);
  const [drawn, setDrawn] = useState(false);
  return (
    <>
      <Header
        place={place}
        state={state}
        stored={library.choices}
        engine={engine}
        onNewChat={shelf.newChat}
        onChats={() => setDrawn(true)}
      />
      {/* Stays where it is when another place is open: an answer goes on, nothing scrolls away. */}
      <main className="places" hidden={place !== 'chat'}>
        <ChatShelf state={state} verbs={shelf} drawn={drawn} onClose={() => setDrawn(false)} />
        <ChatPane state={state} engine={engine} chat={chat} shelf={shelf} />
        <aside className="side" id="side" aria-label="What the model does">
          <RoutingPanel state={state} />
          <ModelCard state={state} />
        </aside>
      </main>
      {place === 'router' && <RouterPlace state={state} engine={engine} />}
      {place === 'models' && <ModelsPlace state={state} engine={engine} library={library} chat={chat} />}
    </>
  );
}
