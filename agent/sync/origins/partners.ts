// Partners: stores that this one synced with, and the grants for repairs that they made for it. The grants are kept sealed. A partner is forgotten when
// its grant has ended, after a year without a sync, and when newer partners need its place.

import { z } from 'zod'
import { nameSchema } from '../../../protocol/images/image.ts'
import type { Fetch } from '../../../protocol/client/exchange.ts'
import type { Prover, Sealer } from '../../contract/access.ts'
import type { NewPartner, OriginSettings, Partners } from '../../contract/origins.ts'
import type { Clock, CrashPoint, Log } from '../../contract/runtime.ts'
import type { KeptValues } from '../../contract/store.ts'
import type { EmitEvent } from '../../contract/work.ts'
import { createProvingFetch } from '../sources/prove.ts'
import { createOrigins } from './origins.ts'

/** Most partners that are remembered: each is asked for every slice that no other store has. */
export const PARTNERS_MAX = 16
/** How long a partner is remembered after the last sync with it, in milliseconds. A grant for repairs lasts no longer. */
export const PARTNER_MS_MAX = 366 * 86_400_000
/** How often a partner that answers is asked, in milliseconds: often enough to keep its grant, which lasts for 30 days after a use. */
const PROBE_MS = 6 * 3_600_000
/** Longest rest of a partner that does not answer, in milliseconds. */
const REST_MS_MAX = 600_000
/** How often partners that are too old are looked for, in milliseconds. */
const AGE_STEP_MS = 3_600_000
const KEY = 'sync-partners'

const keptPartnersSchema = z.array(z.object({ storeId: z.string(), name: z.string(), url: z.string(), sealed: z.string(), sinceMs: z.number() }))
type KeptPartner = z.infer<typeof keptPartnersSchema>[number]

/** A partner with its token. */
type LivePartner = KeptPartner & Pick<NewPartner, 'token'>

export interface PartnersDeps {
  readonly clock: Clock
  readonly log: Log
  readonly emit: EmitEvent
  readonly kept: KeptValues
  readonly sealer: Sealer
  /** Proves to partners which store this is. */
  readonly prover: Prover
  readonly crashPoint: CrashPoint
  /** Connects to allowed addresses only. */
  readonly fetch: Fetch
  /** Whether the store is served; partners are not asked otherwise. */
  readonly isServing: boolean
}

/** Opens the partners that are remembered. */
export async function openPartners(deps: PartnersDeps): Promise<Partners> {
  const { clock, log, emit, kept, sealer, prover, crashPoint } = deps
  let partners = await unseal(deps)
  const settings = (): OriginSettings[] => (deps.isServing ? partners.map(({ name, url, token }) => ({ name, url, token })) : [])
  const origins = createOrigins({
    kind: 'partner',
    clock,
    log,
    settings: settings(),
    storeId: prover.storeId,
    fetch: deps.fetch,
    wrapFetch: (send, token) => createProvingFetch(send, prover, token),
    probeMs: PROBE_MS,
    restMsMax: REST_MS_MAX,
    // The grant has expired or was revoked, so that it will never be accepted again.
    onUnauthenticated: ({ url }) => forget(({ url: other }) => other === url, 'its grant for repairs has ended'),
  })
  const save = (next: readonly LivePartner[]): void => {
    kept.write(
      KEY,
      next.map(({ token: _token, ...partner }) => partner),
    )
    partners = next
    origins.replace(settings())
  }
  const forget = (isGone: (partner: LivePartner) => boolean, why: string): void => {
    const gone = partners.filter(isGone)
    if (gone.length === 0) return
    save(partners.filter((partner) => !gone.includes(partner)))
    for (const { name, url, storeId } of gone) {
      emit({
        type: 'partner.forgotten',
        severity: 'info',
        subject: prover.storeId,
        message: `Damage is not repaired from store ${name} any more: ${why}.`,
        details: { partner: name, storeId, url },
      })
    }
  }
  const forgetOld = (): void => forget(({ sinceMs }) => clock.nowMs() - sinceMs > PARTNER_MS_MAX, 'there was no sync with it for a year')
  forgetOld()
  const ages = clock.every(AGE_STEP_MS, forgetOld)

  return {
    origins,
    list: () =>
      partners.map(({ storeId, name, url, sinceMs }) => {
        const state = origins.list().find((origin) => origin.url === url)?.state ?? 'unknown'
        return { storeId, name, url, sinceMs, state }
      }),
    async remember({ storeId, name, url, token }) {
      const sealed = await sealer.seal(token, purposeOf(storeId))
      const partner = { storeId, name: nameSchema.safeParse(name).data ?? new URL(url).host, url, sealed, sinceMs: clock.nowMs(), token }
      // A store has one place, whatever its address was.
      const others = partners.filter((other) => other.storeId !== storeId && other.url !== url)
      const isNew = others.length === partners.length
      save([partner, ...others].slice(0, PARTNERS_MAX))
      crashPoint('partners:kept')
      if (!isNew) return
      log.info('a store is remembered for repairs', { partner: partner.name, url })
      emit({
        type: 'partner.remembered',
        severity: 'info',
        subject: prover.storeId,
        message: `Damage can be repaired from store ${partner.name}, which made a grant for that.`,
        details: { partner: partner.name, storeId, url },
      })
    },
    [Symbol.dispose]() {
      ages[Symbol.dispose]()
      origins[Symbol.dispose]()
    },
  }
}

/** Returns the kept partners whose tokens can be read: the key that sealed them may be lost. */
async function unseal({ kept, sealer, log }: PartnersDeps): Promise<readonly LivePartner[]> {
  const partners = await Promise.all(
    keptPartnersSchema.parse(kept.read(KEY) ?? []).map(async (partner) => {
      const token = await sealer.open(partner.sealed, purposeOf(partner.storeId))
      if (token === undefined) log.warn('the grant for repairs of a store cannot be read', { partner: partner.name })
      return token === undefined ? [] : [{ ...partner, token }]
    }),
  )
  return partners.flat()
}

function purposeOf(storeId: string): string {
  return `grant for repairs of store ${storeId}`
}
