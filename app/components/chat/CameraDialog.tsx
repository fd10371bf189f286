import { useEffect, useRef, useState } from 'react';
import { Dialog } from '../Dialog';

interface CameraDialogProps {
  onPhoto(photo: Blob): void;
  onClose(): void;
}

/** Far more than any vision tower here sees, and what most cameras give without delay. */
const WANTED = { width: { ideal: 1280 }, height: { ideal: 960 } };

/** What the camera sees, and a button that takes it. The camera is on only while this is open. */
export function CameraDialog({ onPhoto, onClose }: CameraDialogProps) {
  const video = useRef<HTMLVideoElement>(null);
  const [problem, setProblem] = useState<string>();
  const [ready, setReady] = useState(false);
  const [side, setSide] = useState<'environment' | 'user'>('environment');
  const [cameras, setCameras] = useState(1);

  useEffect(() => {
    let stream: MediaStream | undefined;
    let over = false;
    const end = () => stream?.getTracks().forEach((track) => track.stop());
    setReady(false);
    openCamera(side).then(
      async (opened) => {
        stream = opened;
        if (over) end();
        else if (video.current) video.current.srcObject = opened;
        const devices = await navigator.mediaDevices.enumerateDevices();
        if (!over) setCameras(devices.filter(({ kind }) => kind === 'videoinput').length);
      },
      (error: unknown) => !over && setProblem(cameraWords(error)),
    );
    return () => {
      over = true;
      end();
    };
  }, [side]);

  const take = async () => {
    const seen = video.current;
    if (!seen) return;
    const canvas = new OffscreenCanvas(seen.videoWidth, seen.videoHeight);
    canvas.getContext('2d')?.drawImage(seen, 0, 0);
    onPhoto(await canvas.convertToBlob({ type: 'image/jpeg', quality: 0.92 }));
    onClose();
  };

  return (
    <Dialog title="Take a photograph" className="camera" onClose={onClose}>
      {problem ? (
        <p className="notice" role="alert">
          {problem}
        </p>
      ) : (
        <video
          ref={video}
          autoPlay
          muted
          playsInline
          onPlaying={() => setReady(true)}
          aria-label="What the camera sees"
        />
      )}
      <div className="dialog-foot">
        <small>The photograph stays on this device.</small>
        {cameras > 1 && (
          <button type="button" className="quiet" onClick={() => setSide(side === 'user' ? 'environment' : 'user')}>
            Other camera
          </button>
        )}
        {!problem && (
          <button type="button" className="outlined" disabled={!ready} onClick={take}>
            Take it
          </button>
        )}
      </div>
    </Dialog>
  );
}

function openCamera(side: 'environment' | 'user'): Promise<MediaStream> {
  if (!navigator.mediaDevices) return Promise.reject(new DOMException('', 'SecurityError'));
  return navigator.mediaDevices.getUserMedia({ video: { ...WANTED, facingMode: side }, audio: false });
}

function cameraWords(error: unknown): string {
  const name = error instanceof Error ? error.name : '';
  switch (name) {
    case 'NotAllowedError':
      return 'This page may not use the camera. Allow it at the icon beside the address, then try again; or add a picture from a file.';
    case 'NotFoundError':
    case 'OverconstrainedError':
      return 'No camera was found. Connect one and try again, or add a picture from a file.';
    case 'NotReadableError':
      return 'The camera is in use by another program. Close that one and try again, or add a picture from a file.';
    case 'SecurityError':
      return 'Browsers give pages the camera only over https:// or on localhost. Add a picture from a file instead.';
    default:
      return `The camera could not be opened (${name || 'no reason given'}). Add a picture from a file instead.`;
  }
}
