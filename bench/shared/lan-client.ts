/** Clients that come to a LAN one after the other and look for two hosts; prints how long each takes, ms. */
import { createClient } from '@manyhands/client'

const took: number[] = []
for (let round = 0; round < Number(process.argv[2]); round += 1) {
  const began = performance.now()
  const client = await createClient({ network: { mdns: true }, images: [] })
  await client.waitForHosts({ min: 2 })
  took.push(performance.now() - began)
  await client.close()
}
process.stdout.write(JSON.stringify(took))
