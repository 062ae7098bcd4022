// The interface between an import and what it reads: a web server, a file server, a file of this node.

/** What identifies the bytes of a file of this node: a write, a truncation and a replacement change it. */
export interface FileIdentity {
  readonly inode: string
  readonly length: number
  /** Time of the last write in nanoseconds since 1970. */
  readonly modifiedNs: string
}

/**
 * Where the bytes of an import are. A url has no user name, password or fragment. A path is absolute, and below `imports.roots`. A file of the mount
 * path, which only the agent itself imports, is relative to it, and must still be the one that was found.
 */
export type ImportLocation =
  | { readonly kind: 'url'; readonly url: string }
  | { readonly kind: 'path'; readonly path: string }
  | { readonly kind: 'mount'; readonly path: string; readonly identity: FileIdentity }

/** Credentials for a source. Never logged, shown or stored in clear text. */
export interface SourceCredentials {
  readonly username?: string | undefined
  readonly password?: string | undefined
  /** Sent as a bearer token (RFC 6750). */
  readonly token?: string | undefined
  /** Key for a login by sftp, in PEM or OpenSSH format, and its passphrase. */
  readonly privateKey?: string | undefined
  readonly passphrase?: string | undefined
  /** Fingerprint that the host key of an SFTP server must have, such as `SHA256:…`. Not a secret. */
  readonly hostKey?: string | undefined
}

/** What is known of a source before its bytes are read. */
export interface SourceFacts {
  /** Length in bytes; null when the source does not tell. */
  readonly length: number | null
  /** Name of the file at the source; null without one. */
  readonly filename: string | null
  /** Text that differs when the bytes differ, such as an entity tag, or time and length of a file; null when the source has none. */
  readonly validator: string | null
  /** Whether `read` can begin at an offset other than 0. Otherwise the import reads from 0 and skips what it has. */
  readonly canResume: boolean
}

/** A source that was opened. Disposing closes its connections. */
export interface OpenSource extends AsyncDisposable {
  readonly facts: SourceFacts
  /**
   * Yields the bytes from an offset to the end, in order. Called once. Ends early only by throwing: SourceInterrupted when another attempt may
   * succeed, ProblemError when none will. Memory is bounded while the consumer is slow. A piece belongs to the consumer.
   */
  read(offset: number, signal: AbortSignal): AsyncIterable<Uint8Array>
}

export interface ImportSource {
  /** Connects. Throws SourceInterrupted when another attempt may succeed, ProblemError when none will. */
  open(signal: AbortSignal): Promise<OpenSource>
}

/** A way to read locations, such as http. */
export interface ImportScheme {
  accepts(location: ImportLocation): boolean
  /** Checks a location before a task starts. Throws ProblemError, such as `source-not-allowed` or `invalid-input`. */
  check(location: ImportLocation): Promise<void>
  source(location: ImportLocation, credentials: SourceCredentials): ImportSource
}

/**
 * A source could not be reached, or its connection was lost; another attempt may succeed. The message is a clause for the user. It never contains
 * text that the source sent.
 */
export class SourceInterrupted extends Error {
  override readonly name = 'SourceInterrupted'
}
