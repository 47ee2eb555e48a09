import type { ByteSize } from './byte-size.ts'

/** One GPU of a host, as its driver names it. */
export interface GpuDevice {
  /** The driver's own stable id, such as `GPU-5f0c…`; given to an attempt as a whole. */
  id: string
  model: string
  memoryBytes: number
}

/** Which GPUs a task needs. */
export interface GpuRequest {
  count: number
  /** Part of the model's name, case-insensitive, such as `'RTX 40'`. */
  model?: string
  /** Memory of each one, at least. */
  memory?: ByteSize
}

/** What each GPU of a request has to be; resolved to bytes. */
export interface GpuNeed {
  model?: string
  memoryBytes?: number
}

/** Whether a GPU is what a request needs. */
export function gpuFits(device: GpuDevice, need: GpuNeed = {}): boolean {
  const { model = '', memoryBytes = 0 } = need
  return (
    device.memoryBytes >= memoryBytes && device.model.toLowerCase().includes(model.toLowerCase())
  )
}
