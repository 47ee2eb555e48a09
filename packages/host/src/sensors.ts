/** What the schedule looks at. Undefined means that this computer does not tell. */
export interface HostSensors {
  /** Milliseconds since somebody last used keyboard, mouse or a terminal. */
  idleMs(): Promise<number | undefined>
  onBattery(): Promise<boolean | undefined>
  /** Names of the programs that run outside of our sandboxes, as their owner calls them. */
  programs(): Promise<ReadonlySet<string> | undefined>
  /** Local time: minutes since midnight, and the day of the week, 0 is Sunday. */
  localTime(): { minutes: number; day: number }
}
