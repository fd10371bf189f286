import { useReducer } from 'react';
import { ChatPane } from './components/chat/ChatPane';
import { Header } from './components/Header';
import { ModelCard } from './components/model/ModelCard';
import { RoutingPanel } from './components/routing/RoutingPanel';
import { loadDraft } from './hooks/draft';
import { useChat } from './hooks/useChat';
import { useEngine } from './hooks/useEngine';
import { reducer } from './state/reducer';
import { initialState } from './state/state';

export function App() {
  const [state, dispatch] = useReducer(reducer, undefined, () => initialState(loadDraft()));
  const engine = useEngine(dispatch);
  const chat = useChat(state, dispatch, engine);
  return (
    <>
      <Header state={state} engine={engine} chat={chat} />
      <main className="places">
        <ChatPane state={state} engine={engine} chat={chat} />
        <aside className="side" id="side" aria-label="What the model does">
          <RoutingPanel state={state} />
          <ModelCard state={state} />
        </aside>
      </main>
    </>
  );
}
