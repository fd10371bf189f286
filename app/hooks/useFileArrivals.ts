import { useEffect, useEffectEvent, useState } from 'react';
import { isAdapterFile, offerAdapters } from '../adapters/arrivals';
import { firstPicture } from '../pictures';

interface FileArrivals {
  onPicture(file: File): void;
  onModel(file: File): void;
}

/** Takes what is dropped anywhere on the page, and pictures from the clipboard. Tells whether files hover over it. */
export function useFileArrivals({ onPicture, onModel }: FileArrivals): boolean {
  const [hovering, setHovering] = useState(false);
  const take = useEffectEvent((files: readonly File[]) => {
    const picture = firstPicture(files);
    const model = files.find((file) => file.name.toLowerCase().endsWith('.gguf'));
    if (picture) onPicture(picture);
    else if (model) onModel(model);
    else if (files[0] && isAdapterFile(files[0])) offerAdapters(files[0]);
    // Handed on even so: reading it fails with words that say which kinds are understood.
    else if (files[0]) onPicture(files[0]);
  });

  useEffect(() => {
    const holdsFiles = (event: DragEvent) => event.dataTransfer?.types.includes('Files') ?? false;
    const over = (event: DragEvent) => {
      if (!holdsFiles(event)) return;
      event.preventDefault();
      setHovering(true);
    };
    const leave = (event: DragEvent) => {
      if (event.relatedTarget === null) setHovering(false);
    };
    const drop = (event: DragEvent) => {
      if (!holdsFiles(event)) return;
      event.preventDefault();
      setHovering(false);
      take([...(event.dataTransfer?.files ?? [])]);
    };
    const paste = (event: ClipboardEvent) => {
      const picture = firstPicture(event.clipboardData?.files ?? []);
      if (!picture) return;
      event.preventDefault();
      take([picture]);
    };
    window.addEventListener('dragover', over);
    window.addEventListener('dragleave', leave);
    window.addEventListener('drop', drop);
    window.addEventListener('paste', paste);
    return () => {
      window.removeEventListener('dragover', over);
      window.removeEventListener('dragleave', leave);
      window.removeEventListener('drop', drop);
      window.removeEventListener('paste', paste);
    };
  }, []);
  return hovering;
}
