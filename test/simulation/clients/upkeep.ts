// Tasks and tokens: syncs and maintenance that clients order, and what they hold the agents to.

import { ModelImage, Violation } from '../model.ts'
import { ADMIN_TOKEN } from '../world/simulated-agent.ts'
import type { Asking } from './asking.ts'

export class UpkeepClients {
  readonly #asking: Asking

  constructor(asking: Asking) {
    this.#asking = asking
  }

  /** Orders a copy of an image at another agent. */
  async sync(source: ModelImage, to: number): Promise<void> {
    if (source.agent === to) return
    let copy = this.#asking.expected.images.find((image) => image.agent === to && image.id === source.id)
    if (!copy) {
      copy = new ModelImage(to, { id: source.id, name: source.name, bytes: source.bytes, states: ['gone'] })
      this.#asking.expected.images.push(copy)
    }
    const target = copy
    target.mayBeDamaged ||= this.#asking.rotten.has(to)
    // The task outlives the process. It restores a copy that is in the recycle bin.
    const change = target.begin((state) => (state === 'gone' ? ['torn', 'live'] : state === 'live' ? [] : ['live']), undefined, this.#asking.nowMs)
    const answer = await this.#asking.ask(() =>
      this.#asking.client(to).sync({ source: { url: this.#asking.url(source.agent), token: ADMIN_TOKEN }, images: [source.id] }),
    )
    if (answer.kind === 'refused') change.refused()
    if (answer.kind !== 'done') return
    this.#keepTask(to, answer.value.id, 'sync', (state) => (state === 'succeeded' ? change.done('live') : change.over()))
  }

  /** Starts a cleanup of the agent that has an upload. */
  async cleanOf(slot: number): Promise<void> {
    const upload = this.#asking.expected.uploads.get(slot)
    if (upload) await this.maintain(upload.agent, 'cleanup')
  }

  /** Starts a task of maintenance. */
  async maintain(agent: number, what: 'cleanup' | 'scrub' | 'expire'): Promise<void> {
    const wasRotten = this.#asking.rotten.has(agent)
    const answer = await this.#asking.ask(() => this.#asking.client(agent).schedules.run(what))
    if (answer.kind !== 'done') return
    this.#keepTask(agent, answer.value.id, what, (state) => {
      // What a scrub has found is not relied on any more: what is stored from now on is whole.
      if (what === 'scrub' && state === 'succeeded' && wasRotten) this.#asking.rotten.delete(agent)
    })
  }

  #keepTask(agent: number, id: string, kind: string, onEnded: (state: string) => void): void {
    const known = this.#asking.expected.tasks.find((task) => task.id === id && task.agent === agent)
    if (!known) this.#asking.expected.tasks.push({ agent, id, kind, endedAs: undefined, onEnded })
    else if (known.endedAs === undefined) {
      const { onEnded: first } = known
      known.onEnded = (state) => {
        first?.(state)
        onEnded(state)
      }
    }
  }

  /** Looks at all tasks that were accepted; false when there was no answer. */
  async tasks(agent: number): Promise<boolean> {
    for (const task of [...this.#asking.expected.tasks]) {
      if (task.agent !== agent) continue
      const answer = await this.#asking.ask(() => this.#asking.client(agent).tasks.get(task.id))
      if (answer.kind === 'unknown') return false
      // The state folder may have been lost meanwhile, and the task with it.
      if (!this.#asking.expected.tasks.includes(task)) continue
      if (answer.kind === 'refused') throw new Violation(`the ${task.kind} task ${task.id} was accepted and is not known any more`)
      const { state, endedAt } = answer.value
      if (task.endedAs !== undefined && task.endedAs !== state) throw new Violation(`the ${task.kind} task ${task.id} had ${task.endedAs} and is ${state} now`)
      if (endedAt === null || task.endedAs !== undefined) continue
      task.endedAs = state
      task.onEnded?.(state)
      task.onEnded = undefined
    }
    return true
  }

  async createToken(agent: number): Promise<void> {
    const answer = await this.#asking.ask(() => this.#asking.client(agent).tokens.create({ name: 'someone', role: 'viewer' }))
    if (answer.kind === 'done') this.#asking.expected.tokens.push({ agent, id: answer.value.id, mayExist: true, mustExist: true })
  }

  async deleteToken(agent: number): Promise<void> {
    const token = this.#asking.expected.tokens.findLast((one) => one.agent === agent && one.mustExist)
    if (!token) return
    token.mustExist = false
    const answer = await this.#asking.ask(() => this.#asking.client(agent).tokens.delete(token.id))
    if (answer.kind === 'done') token.mayExist = false
  }

  /** Compares the tokens of an agent; false when there was no answer. */
  async tokens(agent: number): Promise<boolean> {
    const before = [...this.#asking.expected.tokens]
    const answer = await this.#asking.ask(() => this.#asking.client(agent).tokens.list({ limit: 500 }))
    if (answer.kind !== 'done') return false
    const ids = new Set(answer.value.items.map(({ id }) => id))
    for (const token of before) {
      if (token.agent !== agent || !this.#asking.expected.tokens.includes(token)) continue
      if (token.mustExist && !ids.has(token.id)) throw new Violation(`token ${token.id} was created and is gone`)
      if (!token.mayExist && ids.has(token.id)) throw new Violation(`token ${token.id} was deleted and is back`)
    }
    return true
  }

  /** The node-local state of an agent is lost: nobody can ask for its tasks and tokens any more. */
  stateLost(agent: number): void {
    const { tasks, tokens } = this.#asking.expected
    for (const task of tasks.filter((one) => one.agent === agent)) tasks.splice(tasks.indexOf(task), 1)
    for (const token of tokens.filter((one) => one.agent === agent)) tokens.splice(tokens.indexOf(token), 1)
  }

  /** Slices of an agent were damaged: whatever may name one of them may be degraded. */
  rot(agent: number): void {
    this.#asking.rotten.add(agent)
    this.#asking.wasRotten.add(agent)
    for (const image of this.#asking.expected.images) if (image.agent === agent) image.mayBeDamaged = true
    for (const upload of [...this.#asking.expected.uploads.values(), ...this.#asking.expected.formerUploads])
      if (upload.agent === agent) upload.mayBeDamaged = true
  }
}
