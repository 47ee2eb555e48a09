/** Stands for network/port-mapping/port-mapper.ts in a browser, which has no ports that a router could map. */
export class PortMapper {
  get found(): undefined {
    return undefined
  }
}
