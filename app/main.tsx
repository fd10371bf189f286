import { StrictMode } from 'react';
import { createRoot } from 'react-dom/client';
import { App } from './App';
import { startOffline } from './offline/offline';
import './styles/tokens.css';
import './styles/base.css';
import './styles/shell.css';
import './styles/model.css';
import './styles/models.css';
import './styles/chat.css';
import './styles/conversations.css';
import './styles/dialog.css';
import './styles/composer.css';
import './styles/routing.css';
import './styles/motion.css';

createRoot(document.getElementById('root')!).render(
  <StrictMode>
    <App />
  </StrictMode>,
);

void startOffline();
