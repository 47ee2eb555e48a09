/**
 * What the schedule looks at. Undefined means that this computer does not tell; a rule that needs it then
 * refuses and says so. A sensor that throws, or takes longer than 5 s, tells nothing either.
 *
 * By default this is the computer itself: on Linux all of it (see the guide for hosts), elsewhere the time
 * alone.
 */
export interface HostSensors {
  /** Milliseconds since somebody last used keyboard, mouse or a terminal. */
  idleMs(): Promise<number | undefined>
  onBattery(): Promise<boolean | undefined>
  /**
   * Names of the programs that run outside of our sandboxes, as their owner calls them, in lower case
   * and without `.exe`.
   */
  programs(): Promise<ReadonlySet<string> | undefined>
  /** Local time: minutes since midnight, and the day of the week, 0 is Sunday. */
  localTime(): { minutes: number; day: number }
}
