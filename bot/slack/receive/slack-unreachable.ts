// In a file of its own, so that the program can recognize this error without loading Bolt.

/** Slack does not answer. Unlike wrong credentials, this may pass. */
export class SlackUnreachable extends Error {
  override readonly name = 'SlackUnreachable'
}
