import type { HostSensors } from '@manyhands/host'

/** A computer whose owner the test plays. */
export class PlayedSensors implements HostSensors {
  idle: number | undefined = 3_600_000
  battery: boolean | undefined = false
  running: string[] | undefined = []
  time = { day: 1, minutes: 20 * 60 }
  idleMs = () => Promise.resolve(this.idle)
  onBattery = () => Promise.resolve(this.battery)
  programs = () => Promise.resolve(this.running && new Set(this.running))
  localTime = () => this.time
}
