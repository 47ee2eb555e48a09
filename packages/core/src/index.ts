export { artifactPart } from './artifacts/artifact-part.ts'
export type {
  Artifact,
  ArtifactStore,
  Manifest,
  ManifestFile,
  TransferSource,
} from './artifacts/artifact-store.ts'
export { concurrently } from './artifacts/concurrently.ts'
export {
  type ArtifactStoreOptions,
  createArtifactStore,
} from './artifacts/create-artifact-store.ts'
export { createTransferGovernor } from './artifacts/create-transfer-governor.ts'
export { createGlobs, type Globs } from './artifacts/glob.ts'
export {
  type LiveFile,
  type LiveTree,
  liveTreesSupported,
  openLiveTree,
  sameFile,
} from './artifacts/live-tree.ts'
export { surveyStore } from './artifacts/survey-store.ts'
export { type IdleStore, tidyIdleStore } from './artifacts/tidy-store.ts'
export {
  parseTransferCap,
  parseTransferCaps,
  type TransferCaps,
} from './artifacts/transfer-caps.ts'
export { type FollowedTransfer, TransferCounts } from './artifacts/transfer-counts.ts'
export type {
  LocalTransferGovernor,
  PeerTransfer,
  TransferDirection,
  TransferGovernor,
  TransferRecord,
  TransferRules,
  TransferTotals,
} from './artifacts/transfer-governor.ts'
export { inTurns, type Work } from './artifacts/turns.ts'
export { assertSupported } from './assert-supported.ts'
export { BoundedOutput } from './bounded-output.ts'
export { type ByteRate, formatByteRate, parseByteRate } from './byte-rate.ts'
export { type ByteSize, formatByteSize, parseByteSize } from './byte-size.ts'
export {
  type CheckpointSpec,
  type CheckpointWish,
  resolveCheckpoint,
} from './checkpoint-spec.ts'
export { type Clock, systemClock } from './clock.ts'
export type { AskedOffers, AskOffersOptions, OfferMark } from './discovery/offer-asking.ts'
export { readJournalCopy } from './durable/journal-copy.ts'
export { type JournalDatabase, openJournalDatabase } from './durable/journal-database.ts'
export { openStateDirectory, type StateDirectory } from './durable/state-directory.ts'
export { type Duration, formatDuration, parseDuration } from './duration.ts'
export { type Blame, ERRORS, type ErrorCode, EXIT } from './error-table.ts'
export { type ErrorDocument, ManyhandsError, toManyhandsError } from './errors.ts'
export {
  collectGarbage,
  type GcAmount,
  type GcKept,
  type GcOptions,
  type GcReport,
  type GcRoom,
  type GcSection,
} from './gc-report.ts'
export { type GpuDevice, type GpuNeed, type GpuRequest, gpuFits } from './gpu.ts'
export {
  decodeImage,
  encodeImage,
  type ImageDocument,
  type ImageFacts,
  type ImageLayer,
  imageBytes,
  readImageConfig,
} from './images/image-document.ts'
export type { ExportedImage, ImageSource, SourceImage } from './images/image-source.ts'
export type {
  CollectedImages,
  ImageAmount,
  KnownImage,
  RuntimeImages,
} from './images/runtime-images.ts'
export { type ItemRange, itemRange, type RangePart } from './item-range.ts'
export type {
  ArtifactRef,
  HostHistory,
  HostSelection,
  Input,
  JobSpec,
  TaskOutputRef,
  TaskSpec,
} from './job-spec.ts'
export { LIMITS } from './limits.ts'
export { type InviteSummary, readInvite } from './membership/invite.ts'
export { throwUnlessBorrower, throwUnlessLender } from './membership/may-take-part.ts'
export type { MemberRole } from './membership/member-role.ts'
export type {
  DelegateOptions,
  InviteOptions,
  Membership,
  NetworkMember,
} from './membership/membership.ts'
export {
  createPrivateNetwork,
  type JoinOptions,
  joinPrivateNetwork,
  openMembership,
  type PrivateNetworkOptions,
} from './membership/private-network.ts'
export { type MembershipOptions, resolveMembership } from './membership/resolve-membership.ts'
export { createNetwork } from './network/create-network.ts'
export { createIdentity, type Identity, publicKeyOf } from './network/identity.ts'
export { type Ban, type MannersCounts, noOffences } from './network/manners/ban.ts'
export type { Offence } from './network/manners/offences.ts'
export type { FrameStream, Logger, Network, NetworkStatus } from './network/network.ts'
export type { NetworkOptions } from './network/network-options.ts'
export type { ConnectionKind, PeerConnection } from './network/peer-connection.ts'
export type { PortMapping } from './network/port-mapping/port-mapping.ts'
export type {
  AddressScope,
  Reachability,
  ReachableAddress,
  ReachHint,
  ReachKind,
  RelayLoad,
  UsedRelay,
} from './network/reach/reachability.ts'
export type { RelayOptions } from './network/reach/relay-options.ts'
export type { TransportPlugin } from './network/transport-plugin.ts'
export { type Offer, type OfferedRuntime, offerSchema } from './offer.ts'
export {
  ATTEMPT_TRANSITIONS,
  type AttemptPhase,
  assertTransition,
  isTerminal,
  JOB_TRANSITIONS,
  type JobPhase,
  TASK_TRANSITIONS,
  type TaskPhase,
} from './phases.ts'
export {
  type CheckReceiptOptions,
  checkProof,
  checkReceipt,
  pinnedImage,
  type ReceiptSubject,
  receiptOf,
} from './receipts/check-receipt.ts'
export {
  type EndedPhase,
  type LimitHit,
  type Receipt,
  type ReceiptBatch,
  type ReceiptProof,
  type SignedReceipt,
  signedReceiptSchema,
} from './receipts/receipt.ts'
export { ReceiptBatches, signReceipts } from './receipts/receipt-batch.ts'
export { inputsDigest, specDigest } from './receipts/receipt-digests.ts'
export { receiptKey, signReceipt, verifyReceipt } from './receipts/sign-receipt.ts'
export { emptyTree, removeTree } from './remove-tree.ts'
export {
  addResources,
  DEFAULT_RESOURCES,
  firstShortage,
  type ResourceRequest,
  type Resources,
  resolveGpuNeed,
  resolveResources,
  timesResources,
} from './resources.ts'
export type {
  Runtime,
  RuntimeCapabilities,
  RuntimeConnection,
  RuntimeContext,
  RuntimeExec,
  RuntimeExit,
  RuntimeFingerprint,
  RuntimeHandle,
  RuntimeOutput,
  RuntimeSpec,
  RuntimeTask,
  WarmSandbox,
  WarmSpec,
  WarmTaskSpec,
  Workspace,
} from './runtime.ts'
export { range, sweep } from './sweep.ts'
export type { AttemptTimeline, TaskOutputs, TaskResult } from './task-result.ts'
export { fillTemplate } from './template.ts'
export {
  TransferMeter,
  type TransferPhase,
  type TransferProgress,
} from './transfer-progress.ts'
export { TransferRate } from './transfer-rate.ts'
export { NO_USAGE, type Usage } from './usage.ts'
export { validateJobSpec, validateTaskSpec } from './validate-job-spec.ts'
export {
  type AcceptSpec,
  acceptSchema,
  type BytesComparator,
  type Comparator,
  type ComparatorFunction,
  type ComparedFiles,
  comparatorSchema,
  type ImageComparator,
  type JsonComparator,
  type MdComparator,
  type VerifySpec,
  verifySchema,
} from './verify-spec.ts'
export { WalkPace } from './walk-pace.ts'
export { finishSetup, isCleanExit } from './warm-end.ts'
export {
  type AttemptEnd,
  type AttemptEvent,
  attemptEndSchema,
  attemptEventSchema,
  type StreamedOutput,
} from './wire/attempt-event.ts'
export { decodeEvents } from './wire/attempt-events.ts'
export {
  type ArtifactHolder,
  type AttemptOverrides,
  type AttemptSpec,
  attemptSpecOf,
  attemptSpecSchema,
  type OfferedImage,
  type WarmWish,
  type WireAttempt,
  type WireInput,
  wireAttemptSchema,
} from './wire/attempt-spec.ts'
export { EncodedDocument } from './wire/cbor-writer.ts'
export type { AnnouncedCheckpoint, Checkpoint } from './wire/checkpoint.ts'
export { decodeDocument, encodeDocument, encodedDocument } from './wire/codec.ts'
export {
  checkJobClaim,
  isLaterClaim,
  type JobClaim,
  MOST_OWNERSHIPS,
  peerIdSchema,
  type SignedJobClaim,
  signedJobClaimSchema,
  signJobClaim,
} from './wire/job-claim.ts'
export { PROTOCOLS } from './wire/protocols.ts'
export { RPC_METHODS, type RpcMethod, type RpcParams, type RpcResult } from './wire/rpc-methods.ts'
