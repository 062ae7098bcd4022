// The role that each command needs, and whether it asks for a name, written by hand. A new command must be added here.

import { describe, expect, test } from 'bun:test'
import type { CommandInput } from '../../../bot/commands/command.ts'
import { runParsed } from '../../../bot/commands/run.ts'
import { COMMANDS } from '../../../bot/commands/table.ts'
import type { Role } from '../../../protocol/access.ts'
import { openTestBot } from '../fixture.ts'
import { createTemporaryFolder } from '../../support/machine/temporary-folder.ts'

const TABLE: Record<string, readonly [Role, 'read' | 'write' | 'destroy']> = {
  web: ['viewer', 'read'],
  'web list': ['viewer', 'read'],
  'web revoke': ['viewer', 'write'],
  'store list': ['viewer', 'read'],
  'store show': ['viewer', 'read'],
  'store health': ['viewer', 'read'],
  'store add': ['admin', 'write'],
  'store browse': ['viewer', 'read'],
  'store edit': ['admin', 'write'],
  'store enable': ['operator', 'write'],
  'store disable': ['operator', 'write'],
  'store maintenance': ['operator', 'write'],
  'store reconcile': ['operator', 'destroy'],
  'store reconnect': ['operator', 'write'],
  'store cleanup': ['operator', 'write'],
  'store delete': ['admin', 'destroy'],
  'image list': ['viewer', 'read'],
  'image show': ['viewer', 'read'],
  'image upload': ['uploader', 'write'],
  'image add': ['uploader', 'write'],
  'image edit': ['operator', 'write'],
  'image sync': ['operator', 'write'],
  'image delete': ['operator', 'destroy'],
  'image purge': ['operator', 'destroy'],
  'image restore': ['operator', 'write'],
  'image protect': ['operator', 'write'],
  'image unprotect': ['operator', 'write'],
  'image bin': ['viewer', 'read'],
  'image grant': ['operator', 'write'],
  'image revoke': ['operator', 'write'],
  'image bind': ['operator', 'write'],
  'image unbind': ['operator', 'destroy'],
  'image link': ['uploader', 'write'],
  'image export': ['operator', 'write'],
  'image exports': ['viewer', 'read'],
  'export list': ['viewer', 'read'],
  'export link': ['uploader', 'write'],
  'export delete': ['operator', 'destroy'],
  'media-group list': ['operator', 'read'],
  'media-group add': ['operator', 'write'],
  'media-group edit': ['operator', 'write'],
  'media-group delete': ['operator', 'destroy'],
  'host-key list': ['operator', 'read'],
  'host-key show': ['operator', 'read'],
  'host-key forget': ['operator', 'destroy'],
  'task list': ['viewer', 'read'],
  'task show': ['viewer', 'read'],
  'task cancel': ['operator', 'write'],
  'image migrate': ['operator', 'destroy'],
  'task pause': ['operator', 'write'],
  'task resume': ['operator', 'write'],
  'task retry': ['operator', 'write'],
  'schedule list': ['viewer', 'read'],
  'schedule run': ['operator', 'write'],
  'schedule edit': ['admin', 'write'],
  'schedule pause': ['admin', 'write'],
  'schedule resume': ['admin', 'write'],
  'policy list': ['viewer', 'read'],
  'policy show': ['operator', 'read'],
  'policy add': ['admin', 'write'],
  'policy edit': ['admin', 'write'],
  'policy run': ['operator', 'destroy'],
  'policy pause': ['admin', 'write'],
  'policy resume': ['admin', 'write'],
  'policy delete': ['admin', 'destroy'],
  'upload list': ['viewer', 'read'],
  'upload show': ['viewer', 'read'],
  'upload cancel': ['operator', 'write'],
  'usage list': ['operator', 'read'],
  'alert list': ['viewer', 'read'],
  'alert show': ['viewer', 'read'],
  'alert ack': ['operator', 'write'],
  'alert silence': ['operator', 'write'],
  'alert silences': ['viewer', 'read'],
  'alert unsilence': ['operator', 'write'],
  'alert subscribe': ['operator', 'write'],
  'alert unsubscribe': ['operator', 'write'],
  'alert subscriptions': ['viewer', 'read'],
  'event list': ['viewer', 'read'],
  'token list': ['admin', 'read'],
  'token create': ['admin', 'write'],
  'token revoke': ['admin', 'write'],
  'token rotate': ['admin', 'write'],
  'grant list': ['admin', 'read'],
  'grant revoke': ['admin', 'write'],
  'zone list': ['viewer', 'read'],
  'zone show': ['viewer', 'read'],
  'store bind': ['admin', 'write'],
  'store unbind': ['admin', 'write'],
  'store types': ['viewer', 'read'],
  'link list': ['uploader', 'read'],
  'link revoke': ['uploader', 'write'],
  'store evidence': ['operator', 'write'],
  'zone add': ['admin', 'write'],
  'zone edit': ['admin', 'write'],
  'zone attach': ['admin', 'write'],
  'zone detach': ['admin', 'write'],
  'zone delete': ['admin', 'destroy'],
  'role list': ['viewer', 'read'],
  'role grant': ['admin', 'write'],
  'role revoke': ['admin', 'write'],
  'role claim': ['viewer', 'write'],
  'role code': ['admin', 'write'],
  'approval list': ['operator', 'read'],
  'approval show': ['operator', 'read'],
  'approval approve': ['operator', 'write'],
  'approval deny': ['operator', 'write'],
  'approval cancel': ['operator', 'write'],
  'audit list': ['operator', 'read'],
  'audit verify': ['operator', 'read'],
  'audit export': ['operator', 'read'],
  'slack manifest': ['viewer', 'read'],
  help: ['viewer', 'read'],
}

/** The roles that do not include a role. */
const LESSER: Record<Role, readonly Role[]> = {
  viewer: [],
  uploader: ['viewer'],
  operator: ['viewer', 'uploader'],
  admin: ['viewer', 'uploader', 'operator'],
}
const ROLES: readonly Role[] = ['viewer', 'uploader', 'operator', 'admin']

const NOTHING: CommandInput = { targets: [], options: {}, flags: new Set(), confirm: [], plan: undefined }

describe('the commands', () => {
  test('are those of the table, with their effect', () => {
    const found = COMMANDS.map(({ noun, verb, role, effect }) => [`${noun} ${verb}`.trim(), [role, effect]])
    expect(Object.fromEntries(found)).toEqual(Object.fromEntries(Object.entries(TABLE).map(([name, [role, effect]]) => [name, [role, effect]])))
    expect(found).toHaveLength(Object.keys(TABLE).length)
  })

  test.each(['store add', 'image upload', 'image add', 'image sync', 'image migrate', 'image export', 'store cleanup', 'policy run'])(
    '%s shows its plan with --dry-run',
    (name) => {
      const command = COMMANDS.find(({ noun, verb }) => `${noun} ${verb}` === name)
      expect(Object.keys(command?.flags ?? {})).toContain('dry-run')
    },
  )

  test.each(Object.entries(TABLE))('%s is refused for lesser roles, and only for them', async (name, [role]) => {
    await using folder = await createTemporaryFolder()
    using bot = openTestBot(folder.path)
    const command = COMMANDS.find(({ noun, verb }) => `${noun} ${verb}`.trim() === name)
    if (!command) throw new Error(`there is no command ${name}`)
    for (const has of ROLES) {
      // There is no store, so that a command that is let in has nothing to change.
      const { outcome, text } = await runParsed(bot.context({ name: 'ann', role: has }, 'console'), {
        kind: 'command',
        command,
        input: NOTHING,
        common: new Set(),
      })
      const isRefused = text === `${name} needs the role ${role}; ann has ${has}.`
      expect([has, isRefused]).toEqual([has, LESSER[role].includes(has)])
      if (isRefused) expect(outcome).toBe('refused')
    }
  })
})
