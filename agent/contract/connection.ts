// What the application may know of the connection that carries a request, and ask of it.

export interface Connection {
  /** Address of the client, or of the proxy in front of it. */
  readonly remoteAddress: string
  /** Sends an interim response (RFC 9110 §15.2) before the answer; nothing happens when the client cannot take one (HTTP/1.0) or is gone. */
  inform(status: 103 | 104, headers: Readonly<Record<string, string>>): void
}
