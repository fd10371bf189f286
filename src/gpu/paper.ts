/** The limits that recording and placing depend on. */
export type PaperLimits = Pick<
  GPUSupportedLimits,
  | 'maxBufferSize'
  | 'maxStorageBufferBindingSize'
  | 'maxComputeWorkgroupStorageSize'
  | 'maxComputeWorkgroupsPerDimension'
  | 'maxComputeInvocationsPerWorkgroup'
>;

/** What graphics cards of the last years offer, by far more than WebGPU promises. */
export const CARD_LIMITS: PaperLimits = {
  maxBufferSize: 2 ** 32,
  maxStorageBufferBindingSize: 2 ** 31 - 4,
  maxComputeWorkgroupStorageSize: 32_768,
  maxComputeWorkgroupsPerDimension: 65_535,
  maxComputeInvocationsPerWorkgroup: 1024,
};

/**
 * A GPUDevice that holds no memory and does no work: buffers are their sizes, pipelines and commands nothing. Only what
 * recording and loading ask of a device is there; reading back is not.
 */
export function paperDevice(limits: PaperLimits): GPUDevice {
  const nothing = () => {};
  const object = () => ({});
  const pass = { setPipeline: nothing, setBindGroup: nothing, dispatchWorkgroups: nothing, end: nothing };
  const encoder = {
    beginComputePass: () => pass,
    copyBufferToBuffer: nothing,
    clearBuffer: nothing,
    finish: object,
  };
  const device = {
    limits,
    lost: new Promise<never>(nothing),
    addEventListener: nothing,
    queue: { writeBuffer: nothing, submit: nothing, onSubmittedWorkDone: async () => {} },
    createBuffer: ({ size, label }: GPUBufferDescriptor) => ({ size, label, destroy: nothing }),
    createShaderModule: object,
    createBindGroupLayout: object,
    createPipelineLayout: object,
    createBindGroup: object,
    createComputePipelineAsync: async () => ({}),
    createCommandEncoder: () => encoder,
    pushErrorScope: nothing,
    popErrorScope: async () => null,
    destroy: nothing,
  };
  return device as unknown as GPUDevice;
}
