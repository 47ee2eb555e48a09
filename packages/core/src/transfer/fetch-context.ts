import type { Artifact, TransferSource } from '../artifacts/artifact-store.ts'
import type { FileClaims } from '../artifacts/file-claims.ts'
import type { ManifestFiles } from '../artifacts/manifest-files.ts'
import type { ReceivingContext } from '../artifacts/receiving-file.ts'
import type { TransferGovernor } from '../artifacts/transfer-governor.ts'
import type { Logger, Network } from '../network/network.ts'
import type { Download } from './download.ts'
import type { SideSockets } from './side-sockets.ts'
import type { Swarms } from './swarms.ts'

/** What one fetch works with. */
export interface FetchContext extends ReceivingContext {
  network: Network
  /** Who is asked first: it says what the artifact consists of. */
  peer: string
  manifests: ManifestFiles
  claims: FileClaims
  sockets: SideSockets
  swarms: Swarms
  governor: TransferGovernor | undefined
  /** Whether others may have of us what we have. */
  shares: boolean
  /** Transfers under way, by root: what they have is given to others. */
  running: Map<string, { download: Download; artifact: Artifact }>
  stallMs: number
  signal: AbortSignal
  logger: Logger | undefined
  /** Called before any content is asked for; what it throws ends the fetch. */
  onManifest(size: number): void
  /** Bytes that have to come, once that is known. */
  onMissing(bytes: number): void
  /** Bytes verified and written since the last call. */
  onWritten(bytes: number): void
  onSource(source: TransferSource): void
}
