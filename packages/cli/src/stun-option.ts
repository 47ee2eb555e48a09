import { ManyhandsError, type TransportPlugin } from '@manyhands/core'

const PACKAGE = '@manyhands/webrtc'

/**
 * What `--stun` asks for: WebRTC with these servers, `stun:HOST:PORT` or `HOST:PORT`. Its package comes with
 * native code and is installed by who wants it.
 *
 * @throws CONFIG_INVALID when it is not installed, or a server is none
 */
export async function webRtcBy(
  servers: readonly string[] | undefined,
): Promise<TransportPlugin[] | undefined> {
  if (servers === undefined || servers.length === 0) return undefined
  const stun = servers.map((server) => (/^stuns?:/i.test(server) ? server : `stun:${server}`))
  const { webrtc } = await import('@manyhands/webrtc').catch((cause) => {
    throw new ManyhandsError('CONFIG_INVALID', `--stun needs ${PACKAGE}, which is not installed`, {
      hint: `Install it beside this command: npm install -g ${PACKAGE}`,
      cause,
    })
  })
  return [webrtc({ stun })]
}
