/** Limits of the control API, with their reasons. */
export const CONTROL_LIMITS = {
  /** Bytes of a request's body: the largest is an admission request with an egress list. */
  bodyBytes: 64 * 1024,
  /** Bytes of a policy document: lists of ten thousand clients and images. */
  policyBytes: 2 * 1024 * 1024,
  /** Bytes of an answer that the client reads as one document. */
  answerBytes: 64 * 1024 * 1024,
  /** Bytes of one line of a stream. */
  lineBytes: 1024 * 1024,
  /** Usage streams open at once, of all callers. */
  streams: 64,
  /** How long a caller may take to send its request, ms. */
  requestMs: 10_000,
  /** How long a kill that need not wait until all is gone may take to be answered, ms. */
  killAnswerMs: 25,
  /** Attempts, clients and jobs, each, of which `/metrics` tells. */
  metricSeries: 256,
} as const
