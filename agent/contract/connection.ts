// The connection of a request, as the application sees it.

export interface Connection {
  /** Address of the client, or of the proxy in front of it. */
  readonly remoteAddress: string
  /** Sends an interim response (RFC 9110 §15.2) before the answer. Does nothing for HTTP/1.0, which has none, or when the client has disconnected. */
  inform(status: 103 | 104, headers: Readonly<Record<string, string>>): void
}

/** The local end of an outgoing connection. */
export interface LocalEnd {
  /** Address of this node that the connection comes from. */
  readonly localAddress: string
  /** Name or address that the certificate of the other side must be valid for. */
  readonly serverName: string
}
