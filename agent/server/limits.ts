// Limits of the HTTP server for one client: connections, heads and rates.

/** The least rate at which a peer must send or read bytes while the server waits for it. */
export interface RateLimit {
  readonly bytesPerSecondMin: number
  /** Time spent waiting for the peer after which its average rate is judged, in milliseconds. */
  readonly windowMs: number
}

export interface ServerLimits {
  /** Request line and headers together, in bytes. */
  readonly headBytesMax: number
  /** Request target, in bytes. */
  readonly targetBytesMax: number
  /** Time until the head of a request is complete, on a new connection and for each further request, in milliseconds. */
  readonly headMsMax: number
  /** Time a connection may stay open between two requests, in milliseconds. */
  readonly idleMsMax: number
  /** Open connections to one address of the agent. */
  readonly connectionsMax: number
  /** Open connections from one remote address. Loopback is exempt: a reverse proxy on this node connects for all its clients. */
  readonly connectionsPerAddressMax: number
  /** Requests that a connection may send before the first of them is answered. */
  readonly pipelinedMax: number
  readonly rate: RateLimit
}

export const SERVER_LIMITS: ServerLimits = {
  headBytesMax: 32 * 1024,
  targetBytesMax: 8 * 1024,
  headMsMax: 20_000,
  // Longer than the 60 s for which nginx and HAProxy keep connections to an upstream, so that the proxy closes them first.
  idleMsMax: 75_000,
  connectionsMax: 4096,
  connectionsPerAddressMax: 512,
  pipelinedMax: 64,
  rate: { bytesPerSecondMin: 1024, windowMs: 60_000 },
}

/** Most bytes of a request body that are queued for the application; beyond this the socket is not read. */
export const BODY_QUEUE_BYTES_MAX = 1024 * 1024
/** Pieces of a body shorter than this are joined, in bytes: chunks may have one byte each. */
export const SHORT_PIECE_BYTES = 4 * 1024
/** Number of pieces after which their average length is checked, and the least average in bytes: chunks of one byte cost the parser a hundred times as much. */
export const PIECES_JUDGED = 4096
export const PIECE_BYTES_AVERAGE_MIN = 16
/** Longest piece that is joined from short ones, in bytes. */
export const GATHERED_BYTES_MAX = 64 * 1024
/** Most bytes written to the socket at once, which bounds the memory that a slow reader costs. */
export const WRITE_BYTES_MAX = 256 * 1024
/** Most of a body that is read and discarded after the application has answered, so that the client sees the answer: bytes, and milliseconds. */
export const DISCARD_BYTES_MAX = 1024 * 1024
export const DISCARD_MS_MAX = 100
/** How long a connection stays open after an answer that a client may not have read because it still sends, in milliseconds. */
export const LINGER_MS_MAX = 1000
/** Interval at which rates are checked, in milliseconds. */
export const RATE_CHECK_MS = 1000
/** Number of times per window that the kernel's queues are read while an answer is blocked. */
export const QUEUE_CHECKS = 12
