// Tokens authenticate clients and give them a role. Only hashes of their secrets are stored.

import { z } from 'zod'
import type { CreatedToken, NewToken, Token } from '../../protocol/access.ts'
import { roleSchema } from '../../protocol/access.ts'
import { newId } from '../../protocol/ids.ts'
import { problem } from '../../protocol/problems.ts'
import { formatTime } from '../../protocol/time.ts'
import type { Actor } from '../contract/access.ts'
import type { Clock } from '../contract/runtime.ts'
import type { KeptValues } from '../contract/store.ts'
import type { EmitEvent, NewEvent } from '../contract/work.ts'
import { hashSecret, isEqualConstantTime, newSecret } from './credentials.ts'
import { principalOf } from './principal.ts'

/** Most tokens of one store: each request is compared with every token. */
const TOKENS_MAX = 1000
/** Least interval between two writes of the times of last use, in milliseconds. */
const LAST_USE_WRITE_MS = 60_000
const KEY = 'tokens'
/** Name of the token that the first start creates, or reads from the configuration. */
const FIRST_TOKEN_NAME = 'admin'

const keptTokensSchema = z.array(
  z.object({
    id: z.string(),
    name: z.string(),
    role: roleSchema,
    /** Tokens of earlier versions have neither a subject nor groups. */
    subject: z.string().nullable().default(null),
    groups: z.array(z.string()).default([]),
    hash: z.string(),
    createdMs: z.number(),
    expiresMs: z.number().nullable(),
    lastUsedMs: z.number().nullable(),
    /** True for the one token that follows the configuration. */
    isConfigured: z.boolean(),
  }),
)
type KeptToken = z.infer<typeof keptTokensSchema>[number]

export interface TokensDeps {
  readonly kept: KeptValues
  readonly clock: Clock
  readonly emit: EmitEvent
  /** Admin token from the configuration; it replaces the token of an earlier configuration. */
  readonly configuredSecret: string | undefined
  /** Writes the secret of the created admin token to a file that only the operator can read; durable when it resolves. */
  readonly writeFirstSecret: (secret: string) => Promise<void>
}

export interface Tokens {
  list(): Token[]
  /** Creates a token. Throws ProblemError `limit-reached` when the store has too many tokens. */
  create(order: NewToken, actor: Actor): Promise<CreatedToken>
  /**
   * Gives a token a new secret. The previous secret is invalid when it resolves; links of the token stay valid. Throws ProblemError `not-found` for an
   * unknown or expired token, or `conflict` for the one that follows the configuration.
   */
  rotate(id: string, actor: Actor): Promise<CreatedToken>
  /** Deletes a token. Throws ProblemError `not-found`, or `conflict` for the last admin token that never expires. */
  remove(id: string, actor: Actor): void
  /** Returns a token that has not expired. */
  find(id: string): Token | undefined
  /** Returns the actor of a secret; undefined when no valid token has it. */
  bySecret(secret: string): Promise<Actor | undefined>
  /** Returns the actor of a secret by the hash of the secret, as `bySecret` does. */
  byHash(hash: string): Actor | undefined
}

/** Opens the tokens of a store and ensures that there is an admin token. */
export async function openTokens(deps: TokensDeps): Promise<Tokens> {
  const { kept, clock, emit } = deps
  let tokens: KeptToken[] = keptTokensSchema.parse(kept.read(KEY) ?? [])
  let lastWriteMs = clock.monotonicMs()

  const save = (next: KeptToken[]): void => {
    kept.write(KEY, next)
    tokens = next
    lastWriteMs = clock.monotonicMs()
  }
  const isValid = (token: KeptToken): boolean => token.expiresMs === null || token.expiresMs > clock.nowMs()

  const byHash = (hash: string): Actor | undefined => {
    // Compares all tokens, so that the time does not reveal which one matched.
    let found: KeptToken | undefined
    for (const token of tokens) if (isEqualConstantTime(token.hash, hash)) found = token
    if (!found || !isValid(found)) return undefined
    found.lastUsedMs = clock.nowMs()
    // Losing the uses of the last minute is harmless: the time only helps operators to find unused tokens.
    if (clock.monotonicMs() - lastWriteMs >= LAST_USE_WRITE_MS) save(tokens)
    return { name: found.name, ...principalOf(found), tokenId: found.id }
  }

  const first = await firstTokens(deps, tokens)
  if (first) save(first)

  return {
    list: () => tokens.map(show),
    find: (id) => tokens.filter((token) => token.id === id && isValid(token)).map(show)[0],

    async create(order, actor) {
      const secret = newSecret()
      const nowMs = clock.nowMs()
      const token: KeptToken = {
        ...newToken(order.name, order.role, await hashSecret(secret), nowMs),
        subject: order.subject === undefined ? null : withoutPrefix(order.subject, 'user:'),
        groups: [...new Set((order.groups ?? []).map((group) => withoutPrefix(group, 'group:')))].toSorted(),
        expiresMs: order.ttlSeconds === undefined ? null : nowMs + order.ttlSeconds * 1000,
      }
      const others = tokens.filter(isValid)
      if (others.length >= TOKENS_MAX)
        throw problem('limit-reached', `The store already has ${TOKENS_MAX} tokens.`, { action: 'Delete tokens that are no longer used.' })
      save([...others, token])
      emit(changeEvent('created', token, actor))
      return { ...show(token), token: secret }
    },

    async rotate(id, actor) {
      const secret = newSecret()
      const hash = await hashSecret(secret)
      const before = tokens.find((candidate) => candidate.id === id && isValid(candidate))
      if (!before) throw problem('not-found', `There is no token ${JSON.stringify(id)}.`)
      if (before.isConfigured)
        throw problem('conflict', 'The secret of this token comes from the configuration of the agent.', {
          action: 'Change the credential, then restart the agent.',
        })
      const token: KeptToken = { ...before, hash, lastUsedMs: null }
      save(tokens.map((candidate) => (candidate === before ? token : candidate)))
      emit(changeEvent('rotated', token, actor))
      return { ...show(token), token: secret }
    },

    remove(id, actor) {
      const token = tokens.find((candidate) => candidate.id === id)
      if (!token) throw problem('not-found', `There is no token ${JSON.stringify(id)}.`)
      const rest = tokens.filter((candidate) => candidate !== token)
      if (!rest.some(isLastingAdmin))
        throw problem('conflict', 'This is the last admin token that never expires; without one, the store could not be managed.', {
          action: 'Create another admin token first.',
        })
      save(rest)
      emit(changeEvent('deleted', token, actor))
    },

    bySecret: async (secret) => byHash(await hashSecret(secret)),
    byHash,
  }
}

function changeEvent(change: 'created' | 'rotated' | 'deleted', { id, role, name }: KeptToken, actor: Actor): NewEvent {
  return {
    type: `token.${change}`,
    severity: 'info',
    subject: id,
    actor: actor.name,
    message: `${actor.name} ${change} the ${role} token ${JSON.stringify(name)}.`,
  }
}

/** Returns a name as grants write it, without its prefix: both `ann` and `user:ann` name the user ann. */
function withoutPrefix(name: string, prefix: string): string {
  return name.startsWith(prefix) && name.length > prefix.length ? name.slice(prefix.length) : name
}

function isLastingAdmin({ role, expiresMs }: KeptToken): boolean {
  return role === 'admin' && expiresMs === null
}

/** Returns the tokens to start with; undefined when the stored ones need no change. */
async function firstTokens(deps: TokensDeps, tokens: KeptToken[]): Promise<KeptToken[] | undefined> {
  const { configuredSecret, clock, writeFirstSecret } = deps
  if (configuredSecret !== undefined) {
    const hash = await hashSecret(configuredSecret)
    if (tokens.some((token) => token.hash === hash)) return undefined
    return [...tokens.filter((token) => !token.isConfigured), { ...newToken(FIRST_TOKEN_NAME, 'admin', hash, clock.nowMs()), isConfigured: true }]
  }
  if (tokens.some(isLastingAdmin)) return undefined
  const secret = newSecret()
  // Writes the file first: after a crash in between, the next start creates another secret and writes it again.
  await writeFirstSecret(secret)
  return [...tokens, newToken(FIRST_TOKEN_NAME, 'admin', await hashSecret(secret), clock.nowMs())]
}

function newToken(name: string, role: KeptToken['role'], hash: string, nowMs: number): KeptToken {
  return { id: newId('tok', nowMs), name, role, subject: null, groups: [], hash, createdMs: nowMs, expiresMs: null, lastUsedMs: null, isConfigured: false }
}

function show(token: KeptToken): Token {
  const { id, name, role, subject, groups, createdMs, expiresMs, lastUsedMs } = token
  const time = (ms: number | null): string | null => (ms === null ? null : formatTime(ms))
  return { id, name, role, subject, groups, grant: null, createdAt: formatTime(createdMs), expiresAt: time(expiresMs), lastUsedAt: time(lastUsedMs) }
}
