// What somebody sees who has not entered a token, and what the page says of a refusal. Neither shows anything about the store.

/** @jsxImportSource hono/jsx */

import { PROBLEMS } from '../../../protocol/problems.ts'
import type { Problem } from '../../../protocol/problems.ts'
import { Words } from '../../../protocol/views/html/words.tsx'
import { PAGE_PLACES, relativeHref } from './addresses.ts'
import { pageAnswer, PlainPage } from './layout.tsx'

/** Path of the form that takes the token, and the names of its fields. */
export const ENTER_PATH = '/page/enter'
export const TOKEN_FIELD = 'token'
export const NEXT_FIELD = 'next'

/** Returns the page of a refusal: the form for a token where one is missing or has ended, else what is wrong and what to do. */
export function refusalPage(refusal: Problem, request: Request): Response {
  const path = new URL(request.url).pathname
  if (refusal.status === PROBLEMS.unauthenticated.status) return entryPage(path, refusal)
  return pageAnswer(
    <PlainPage title={refusal.title} path={path}>
      <h1>{refusal.title}</h1>
      <p>
        <Words text={refusal.detail} />
      </p>
      <p>
        <Words text={refusal.action} />
      </p>
      <p>
        <a href={relativeHref(path, '/')}>Store</a>
      </p>
    </PlainPage>,
  )
}

/** Where the entry leads: to the place whose address was opened. */
export function placeOf(path: string): string {
  return PAGE_PLACES.find((place) => place.path === path)?.path ?? '/'
}

function entryPage(path: string, { detail, ...refusal }: Problem): Response {
  const isAttempt = path === ENTER_PATH
  return pageAnswer(
    <PlainPage title="Enter" path={path}>
      <h1>Slipway agent</h1>
      {refusal['isSessionEnded'] === true ? <p role="status">{detail}</p> : ''}
      <p>Enter a token of this store. This browser then reads what the token may read, until you log out or the session ends.</p>
      <form method="post" action={relativeHref(path, ENTER_PATH)}>
        <input type="hidden" name={NEXT_FIELD} value={placeOf(path)} />
        <div class="field">
          <label for="token">Token</label>
          <p class="hint" id="token-hint">
            It begins with slp_ unless you chose it yourself. An admin makes one with POST /v1/tokens, or with token create in the console of the bot.
          </p>
          {isAttempt ? (
            <p class="error" id="token-error">
              <Words text={detail} />
            </p>
          ) : (
            ''
          )}
          <input
            id="token"
            name={TOKEN_FIELD}
            type="password"
            required
            autocomplete="current-password"
            autocapitalize="off"
            spellcheck={false}
            aria-describedby={isAttempt ? 'token-error token-hint' : 'token-hint'}
            {...(isAttempt ? { 'aria-invalid': 'true' } : {})}
          />
        </div>
        <button type="submit" class="primary">
          Enter
        </button>
      </form>
    </PlainPage>,
  )
}
