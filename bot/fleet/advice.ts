// The next step after a refusal, in commands of this bot. An agent speaks of its HTTP interface and does not know the name
// that its store has here.

import { ProblemError } from '../../protocol/problems.ts'

/** The refusal of an agent with the command that helps; refusals whose own action says enough are returned unchanged. */
export function advise(store: { readonly name: string }, error: ProblemError): ProblemError {
  const { code } = error
  // The bot itself says so of a token that it cannot read.
  if (code === 'unauthenticated' && error.isFromPeer)
    return changed(error, { detail: `${store.name} does not accept the token that the bot has for it.`, action: tokenAdvice(store) })
  if (code === 'forbidden') return changed(error, { action: `The bot needs a token with that role, best the admin token. ${tokenAdvice(store)}` })
  return code === 'insufficient-storage' ? changed(error, { action: spaceAdvice(store) }) : error
}

/** How to give the bot a token that the agent accepts. */
export function tokenAdvice({ name }: { readonly name: string }): string {
  return `Run store edit ${name} token=… with the admin token of its agent: on the node it is in /var/lib/slipway/${name}/admin-token, the file admin-token of the agent's state folder.`
}

/** How to make room in a store. */
export function spaceAdvice({ name }: { readonly name: string }): string {
  return `Make room: image purge --bin store=${name} empties the recycle bin, image purge I… deletes single images for good; then run store cleanup ${name}, which frees the space. Or add space.`
}

function changed(error: ProblemError, words: { readonly detail?: string; readonly action: string }): ProblemError {
  return new ProblemError({ ...error.problem, ...words }, { cause: error.cause, headers: error.headers, isFromPeer: error.isFromPeer })
}
