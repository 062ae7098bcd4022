// Finds the explanation of a column, a field or a check.

import { nearestName } from '../../../../protocol/nearest.ts'
import { APPROVAL_TERMS, AUDIT_TERMS, GRANT_TERMS, HELP_TERMS, HOST_KEY_TERMS, ROLE_TERMS, TOKEN_TERMS, WEB_TERMS } from './access.ts'
import { ALERT_TERMS } from './alert.ts'
import { CHECK_TERMS } from './checks.ts'
import { EXPORT_TERMS, IMAGE_TERMS, MEDIA_GROUP_TERMS, USAGE_TERMS } from './image.ts'
import { SHARED_TERMS } from './shared.ts'
import { STORE_TERMS, ZONE_TERMS } from './store.ts'
import type { Term, Terms } from './term.ts'
import { EVENT_TERMS, POLICY_TERMS, SCHEDULE_TERMS, TASK_TERMS, UPLOAD_TERMS } from './work.ts'

/** The explanations of each noun. Words that are not here are in SHARED_TERMS. */
export const NOUN_TERMS: Readonly<Record<string, Terms>> = {
  store: STORE_TERMS,
  zone: ZONE_TERMS,
  image: IMAGE_TERMS,
  export: EXPORT_TERMS,
  'media-group': MEDIA_GROUP_TERMS,
  usage: USAGE_TERMS,
  task: TASK_TERMS,
  upload: UPLOAD_TERMS,
  schedule: SCHEDULE_TERMS,
  policy: POLICY_TERMS,
  alert: ALERT_TERMS,
  event: EVENT_TERMS,
  token: TOKEN_TERMS,
  grant: GRANT_TERMS,
  role: ROLE_TERMS,
  'host-key': HOST_KEY_TERMS,
  approval: APPROVAL_TERMS,
  audit: AUDIT_TERMS,
  web: WEB_TERMS,
  help: HELP_TERMS,
}

export interface FoundTerm {
  /** The label as it is shown. */
  readonly label: string
  readonly term: Term
}

/** Finds what a word means in the answer of a command; case, dashes and spaces do not matter. */
export function findTerm(noun: string, verb: string, word: string): FoundTerm | undefined {
  const own = NOUN_TERMS[noun] ?? {}
  const wanted = folded(word)
  const search = (terms: Terms, prefix = ''): FoundTerm | undefined => {
    const label = Object.keys(terms).find((candidate) => candidate.startsWith(prefix) && isSame(candidate.slice(prefix.length), wanted))
    const term = label === undefined ? undefined : terms[label]
    return label === undefined || !term ? undefined : { label: label.slice(prefix.length), term }
  }
  const isHealth = noun === 'store' && verb === 'health'
  return search(own, `${verb} `) ?? search(own) ?? (isHealth ? search(CHECK_TERMS) : undefined) ?? search(SHARED_TERMS)
}

/** Finds a health check by its name. */
export function findCheck(name: string): FoundTerm | undefined {
  const term = Object.hasOwn(CHECK_TERMS, name) ? CHECK_TERMS[name] : undefined
  return term ? { label: name, term } : undefined
}

/** Returns the nearest word that is explained for a noun. */
export function nearestTerm(noun: string, verb: string, word: string): string | undefined {
  const labels = [...Object.keys(NOUN_TERMS[noun] ?? {}), ...Object.keys(SHARED_TERMS)]
  const checks = noun === 'store' && verb === 'health' ? Object.keys(CHECK_TERMS) : []
  return nearestName(word.toLowerCase(), [...labels.map((label) => label.toLowerCase()), ...checks])
}

/** A label ends with `…` when the rest of it is a name. */
function isSame(label: string, wanted: string): boolean {
  return label.endsWith('…') ? wanted.startsWith(folded(label.slice(0, -1))) : folded(label) === wanted
}

function folded(word: string): string {
  return word.toLowerCase().replaceAll(/[\s:_-]/g, '')
}
