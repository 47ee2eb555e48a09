import type { Namespace } from './namespace.ts'

/**
 * How a home router translates addresses, in the words of STUN:
 * `full-cone`: a port of a computer is the same port outside for everybody, and everybody may send to it
 *   (UDP alone; TCP as `port-restricted`);
 * `port-restricted`: the same port for everybody, but only who was sent something may answer: Linux'
 *   usual masquerade, and most homes;
 * `symmetric`: another random port for every destination.
 */
export type Nat = 'full-cone' | 'port-restricted' | 'symmetric'

export const WAN = 'wan0'
export const LAN = 'lan0'

/** Turns a namespace with `wan0` and `lan0` into a home router: masquerade, and nothing new comes in. */
export async function routeHome(router: Namespace, nat: Nat): Promise<void> {
  const cone = nat === 'full-cone'
  await router.run('sh', '-c', 'echo 1 > /proc/sys/net/ipv4/ip_forward')
  await router.nft(`
table inet home {
  chain forward {
    type filter hook forward priority filter; policy drop;
    ct state established,related accept
    iifname "${LAN}" accept
    ${cone ? 'ct status dnat accept' : ''}
    jump upnp_forward
  }
  # What a UPnP daemon fills.
  chain upnp_forward {
  }
  chain upnp_in {
  }
  chain upnp_out {
  }
  chain mapped_in {
    type nat hook prerouting priority dstnat
    jump upnp_in
  }
  chain mapped_out {
    type nat hook postrouting priority srcnat
    jump upnp_out
  }
  chain input {
    type filter hook input priority filter; policy accept;
    ct state established,related accept
    iifname "${WAN}" drop
  }
}
table ip translate {
  map ports {
    type inet_service : ipv4_addr . inet_service
    flags dynamic,timeout
    timeout 5m
  }
  chain out {
    type nat hook postrouting priority srcnat
    ${cone ? `oifname "${WAN}" meta l4proto udp update @ports { udp sport : ip saddr . udp sport }` : ''}
    oifname "${WAN}" masquerade ${nat === 'symmetric' ? 'fully-random' : 'persistent'}
  }
  chain in {
    type nat hook prerouting priority dstnat
    ${cone ? `iifname "${WAN}" meta l4proto udp dnat to udp dport map @ports` : ''}
  }
}
`)
}
