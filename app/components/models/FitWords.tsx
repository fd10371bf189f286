import { type Device, fit, type KvShape } from '../../library/fit';

interface FitWordsProps {
  readonly bytes: number;
  readonly shape: KvShape | undefined;
  readonly device: Device;
}

/** Whether it fits, in words and with a mark; never by colour alone. */
export function FitWords({ bytes, shape, device }: FitWordsProps) {
  const { level, words } = fit(bytes, shape, device);
  return (
    <p className={`fit ${level}`}>
      <span className="fit-mark" aria-hidden="true" />
      {words}
    </p>
  );
}
