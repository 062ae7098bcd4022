// The type of a wire case: literal bytes, and the answers that the RFC requires.

export interface WireCase {
  /** The rule, `RFC 9112 §3.2`. */
  readonly rule: string
  readonly name: string
  /**
   * Bytes as Latin-1, sent as they are; each part after the first is sent once a `100 Continue` came. `{token}` stands for the admin's token and
   * `{upload}` for the path of a new upload of 10 bytes.
   */
  readonly send: readonly string[]
  /** Status codes of all answers in order, interim ones too. */
  readonly statuses: readonly number[]
  /** Whether the server closes the connection. One that it leaves open must answer a further request, so that nothing was smuggled. */
  readonly closes: boolean
  /** Header lines that the last answer has, in lower case. */
  readonly headers?: readonly string[]
  /** Code of the last answer's problem document. */
  readonly problem?: string
}
