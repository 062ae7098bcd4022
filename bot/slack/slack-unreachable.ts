// Stands apart from the connection, so that the program can tell this error without loading Bolt.

/** Slack does not answer. Unlike wrong credentials this may end by itself. */
export class SlackUnreachable extends Error {
  override readonly name = 'SlackUnreachable'
}
