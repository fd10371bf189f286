import { useId, useState } from 'react';
import { allowed, defaultOf, SETTINGS, type Setting } from '../../conversations/sampling';
import type { ChatVerbs } from '../../hooks/useChat';
import { loadedModel } from '../../state/selectors';
import { type ChatSettings, DEFAULT_SETTINGS, type State } from '../../state/state';
import { Dialog } from '../Dialog';

interface SettingsDialogProps {
  readonly state: State;
  readonly chat: ChatVerbs;
  onClose(): void;
}

/** System prompt and sampling of the open chat. What is set holds from the next answer on. */
export function SettingsDialog({ state, chat, onClose }: SettingsDialogProps) {
  const { settings, id, access } = state.chat;
  /** Fields forget what was typed into them when the whole is reset. */
  const [round, setRound] = useState(0);
  const manifest = loadedModel(state)?.manifest;
  const set = (change: Partial<ChatSettings>) => chat.setSettings({ ...settings, ...change });
  const untouched = settings.system === '' && Object.keys(settings.sampling).length === 0;
  return (
    <Dialog title="Settings of this chat" className="settings" onClose={onClose}>
      <fieldset disabled={access !== 'here'}>
        <label className="setting-system">
          <span className="setting-title">System prompt</span>
          <small>What the model is told before the chat begins. Small models often heed it little.</small>
          <textarea rows={3} value={settings.system} onChange={(event) => set({ system: event.target.value })} />
        </label>
        <h3>How answers are drawn</h3>
        <ul className="setting-list">
          {SETTINGS.map((setting) => (
            <NumberSetting
              key={`${id} ${round} ${setting.name}`}
              setting={setting}
              value={settings.sampling[setting.name]}
              usual={defaultOf(setting, manifest?.sampling)}
              onChange={(value) => {
                const { [setting.name]: _, ...others } = settings.sampling;
                set({ sampling: value === undefined ? others : { ...others, [setting.name]: value } });
              }}
            />
          ))}
        </ul>
      </fieldset>
      <div className="dialog-foot">
        <small>Empty fields use {manifest ? `the defaults of ${manifest.title}` : 'the model’s defaults'}.</small>
        <button
          type="button"
          className="outlined"
          disabled={untouched || access !== 'here'}
          onClick={() => {
            setRound(round + 1);
            // The adapters are chosen elsewhere.
            set(DEFAULT_SETTINGS);
          }}
        >
          Reset all
        </button>
      </div>
    </Dialog>
  );
}

interface NumberSettingProps {
  readonly setting: Setting;
  readonly value: number | undefined;
  readonly usual: number | undefined;
  onChange(value: number | undefined): void;
}

function NumberSetting({ setting, value, usual, onChange }: NumberSettingProps) {
  const { title, words, from, to, step } = setting;
  const [typed, setTyped] = useState(value === undefined ? '' : String(value));
  const explanation = useId();
  const number = typed.trim() === '' ? undefined : Number(typed.replace(',', '.'));
  const wrong = number !== undefined && !allowed(setting, number);
  const whole = step >= 1 ? 'a whole number' : 'a number';
  return (
    <li className="setting">
      <label>
        <span className="setting-title">{title}</span>
        <input
          type="text"
          inputMode="decimal"
          autoComplete="off"
          className="number"
          value={typed}
          placeholder={usual === undefined ? 'new each time' : String(usual)}
          aria-describedby={explanation}
          aria-invalid={wrong}
          onChange={(event) => {
            const text = event.target.value;
            setTyped(text);
            const next = text.trim() === '' ? undefined : Number(text.replace(',', '.'));
            if (next === undefined || allowed(setting, next)) onChange(next);
          }}
        />
      </label>
      <small id={explanation}>
        {wrong ? (
          <strong role="alert">
            It must be {whole} from {from} to {to}; {value ?? usual ?? 'a new one'} is used until then.
          </strong>
        ) : (
          words
        )}
      </small>
    </li>
  );
}
