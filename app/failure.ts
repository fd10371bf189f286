/** What to say when something fails: a heading in plain words and what the person can do next, by browser. */
import type { EngineFailure, FailureCode } from '../src/workers/api';

export interface Advice {
  readonly title: string;
  readonly steps: readonly string[];
  /** Whether loading the same model again can help. */
  readonly retry: boolean;
  /** Whether another model is a way out. */
  readonly otherModel?: boolean;
}

export function adviceFor(failure: EngineFailure, userAgent: string, secure: boolean): Advice {
  if (failure.code === 'no-webgpu') {
    return { title: 'This browser cannot reach the GPU', steps: webgpuSteps(userAgent, secure), retry: true };
  }
  return ADVICE[failure.code];
}

const ADVICE: Readonly<Record<Exclude<FailureCode, 'no-webgpu'>, Advice>> = {
  'no-adapter': {
    title: 'No usable GPU was found',
    steps: [
      'Turn on “Use graphics acceleration when available” in the browser’s settings and restart the browser.',
      'Update the graphics driver, then restart the computer.',
      'In Chrome or Edge, open chrome://gpu and look at the line “WebGPU”: it says what is missing.',
    ],
    retry: true,
  },
  'no-device': {
    title: 'The GPU refused to start',
    steps: ['Close other pages and programs that use the GPU, then try again.', 'Restart the browser.'],
    retry: true,
  },
  lost: {
    title: 'The GPU was taken away',
    steps: [
      'This happens when the driver restarts, the computer sleeps or memory runs out. Load the model again; your chat is still here.',
    ],
    retry: true,
  },
  'out-of-memory': {
    title: 'The model does not fit into the GPU’s memory',
    steps: ['Close other pages and programs that use the GPU, then try again.', 'Or choose a smaller model.'],
    retry: true,
    otherModel: true,
  },
  limit: {
    title: 'This GPU is too small for the model',
    steps: ['Choose a smaller model, or one with smaller weights.'],
    retry: false,
    otherModel: true,
  },
  validation: {
    title: 'The GPU rejected a computation',
    steps: ['Update the browser and the graphics driver, then try again.'],
    retry: true,
  },
  network: {
    title: 'The model could not be downloaded',
    steps: ['Check the connection, then try again.', 'Or open a GGUF file from this device.'],
    retry: true,
  },
  file: {
    title: 'The file could not be read',
    steps: ['Check that it is still where it was and that it may be read, then choose it again.'],
    retry: true,
    otherModel: true,
  },
  format: {
    title: 'The model file is damaged or of another kind',
    steps: ['Download it again, or choose another one.'],
    retry: false,
    otherModel: true,
  },
  unsupported: {
    title: 'This kind of model is not supported',
    steps: ['Choose a LLaMA-family GGUF file, or a model from the list.'],
    retry: false,
    otherModel: true,
  },
  'context-full': {
    title: 'The chat no longer fits into the model’s context',
    steps: ['Start a new chat; your message goes with you.'],
    retry: false,
  },
  aborted: { title: 'Stopped', steps: ['Try again whenever you like.'], retry: true },
  busy: {
    title: 'The model is still busy',
    steps: ['Wait for it to finish, or stop it, then try again.'],
    retry: true,
  },
  internal: {
    title: 'The engine made a mistake',
    steps: ['Try again. If it happens once more, reload the page: your text is kept.'],
    retry: true,
  },
};

/** Where WebGPU is in each browser, as of late 2025. */
function webgpuSteps(userAgent: string, secure: boolean): string[] {
  if (!secure) {
    return ['Browsers give pages the GPU only over https:// or on localhost. Open this page by one of these.'];
  }
  const other = 'Or open this page in a current Chrome or Edge.';
  if (/iPhone|iPad|iPod/.test(userAgent)) {
    return ['Update to iOS or iPadOS 26 or later: every browser there has WebGPU from then on.'];
  }
  if (/Firefox\//.test(userAgent)) {
    return [
      'Firefox has WebGPU on Windows from version 141 and on Macs with Apple silicon from version 145: update it.',
      'Elsewhere, open about:config, set dom.webgpu.enabled to true and restart Firefox.',
      other,
    ];
  }
  if (/Android/.test(userAgent)) {
    return ['Update Chrome to version 121 or later, on Android 12 or later.'];
  }
  if (/Chrome\//.test(userAgent)) {
    const steps = ['Update the browser to version 113 or later.'];
    if (/Linux/.test(userAgent)) {
      steps.push(
        'On Linux, open chrome://flags, enable “Unsafe WebGPU Support” and “Vulkan”, and restart the browser.',
      );
    }
    steps.push('Turn on “Use graphics acceleration when available” in the browser’s settings.');
    return steps;
  }
  if (/Safari\//.test(userAgent)) {
    return ['Safari has WebGPU from version 26 (macOS 26): update it.', other];
  }
  return ['Open this page in a current Chrome, Edge, Safari 26 or Firefox.'];
}
