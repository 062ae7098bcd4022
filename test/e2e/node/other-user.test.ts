// A store whose files belong to another user than that of the agent: root must not leave files behind that the service cannot read, and a
// start on a store from another node must be refused with one sentence.

import { describe, expect, setDefaultTimeout } from 'bun:test'
import { chmod, chown, mkdir } from 'node:fs/promises'
import { AgentNotStarted, startAgent } from '../../support/agents/agent-process.ts'
import type { AgentProcess } from '../../support/agents/agent-process.ts'
import { agentToml } from '../../support/agents/agent-config.ts'
import { runAgent } from '../../support/agents/agent-command.ts'
import { agentOfOtherUser, foreignTo, giveTo, OTHER_UID, requireOtherUser } from '../../support/machine/other-user.ts'
import { mountLoop, requireLoopMount } from '../../support/machine/loop-mount.ts'
import { createTemporaryFolder } from '../../support/machine/temporary-folder.ts'
import type { TemporaryFolder } from '../../support/machine/temporary-folder.ts'
import { until } from '../../support/until.ts'

// On a busy machine a process takes longer than the runner's default of 5 s.
setDefaultTimeout(120_000)

const test = requireOtherUser()

/** Creates a folder that belongs to the second user. */
async function folderOfOtherUser(): Promise<TemporaryFolder> {
  const folder = await createTemporaryFolder()
  for (const name of ['store', 'state']) await mkdir(folder.file(name))
  await giveTo(OTHER_UID, folder.path)
  return folder
}

const startAs = (uid: number, folder: string): Promise<AgentProcess> =>
  startAgent(folder, { command: agentOfOtherUser, environment: { SLIPWAY_TEST_UID: String(uid) } })

/** Starts an agent that must be refused, and returns its sentence. */
async function refusalAs(uid: number, folder: string): Promise<string> {
  const outcome = await startAs(uid, folder).then(
    async (agent) => {
      await agent.kill()
      return 'it started'
    },
    (error: unknown) => error,
  )
  if (!(outcome instanceof AgentNotStarted)) throw new Error(`the agent was not refused: ${String(outcome)}`)
  expect(outcome.exitCode).toBe(2)
  const sentences = outcome.output.split('\n').filter((line) => line !== '' && !line.startsWith('{'))
  expect(sentences).toHaveLength(1)
  return sentences[0] ?? ''
}

/** Uploads one image and waits until it is available. */
async function fill(agent: AgentProcess): Promise<void> {
  const body = crypto.getRandomValues(new Uint8Array(60_000))
  const headers = agent.headers({
    'tus-resumable': '1.0.0',
    'upload-length': String(body.byteLength),
    'upload-metadata': `name ${btoa('noise')}`,
    'content-type': 'application/offset+octet-stream',
  })
  expect((await fetch(`${agent.url}/v1/uploads`, { method: 'POST', headers, body })).status).toBe(201)
  await until('the image is available', async () => (await agent.client.images.list()).items[0]?.status === 'available')
}

describe('root on a store of another user', () => {
  test('runs check, scrub, gc and recover as the owner, so that the service can start afterwards', async () => {
    await using folder = await folderOfOtherUser()
    await using agent = await startAs(OTHER_UID, folder.path)
    await fill(agent)
    expect(await agent.stop()).toBe(0)
    for (const command of ['check', 'scrub', 'gc', 'recover']) {
      const ran = await runAgent([command, '--config', folder.file('agent.toml')])
      expect([command, ran.exitCode]).toEqual([command, 0])
      expect(ran.stderr).toContain(`Running as uid ${OTHER_UID}, the owner of ${folder.file('store')}.`)
      expect([...foreignTo(OTHER_UID, folder.file('store')), ...foreignTo(OTHER_UID, folder.file('state'))]).toEqual([])
    }
    await agent.restart()
    expect((await agent.client.images.list()).items[0]?.status).toBe('available')
  })

  test('cannot serve it: the refusal names the command to run instead and leaves no file behind', async () => {
    await using folder = await folderOfOtherUser()
    await Bun.write(folder.file('agent.toml'), agentToml(folder.path))
    const ran = await runAgent(['serve', '--config', folder.file('agent.toml')])
    const line = `setpriv --reuid ${OTHER_UID} --regid ${OTHER_UID} --clear-groups slipway-agent serve --config ${folder.file('agent.toml')}`
    expect(ran).toEqual({
      exitCode: 2,
      stdout: '',
      stderr: `The store on ${folder.file('store')} belongs to uid ${OTHER_UID}, and root does not serve it, because that user could not read the files that root creates. Start its systemd service, or run: ${line}\n`,
    })
    expect(foreignTo(OTHER_UID, folder.file('store'))).toEqual([])
  })
})

describe('a start as a user without access to', () => {
  const OWNER = OTHER_UID + 1

  test('the store is refused with the chown to run, and starts after it', async () => {
    await using folder = await folderOfOtherUser()
    await using agent = await startAs(OTHER_UID, folder.path)
    await fill(agent)
    await agent.stop()
    await giveTo(OWNER, folder.file('store'))
    expect(await refusalAs(OTHER_UID, folder.path)).toBe(
      `${folder.file('store')} belongs to uid ${OWNER}, and the agent runs as uid ${OTHER_UID}, which may not use it. As root, run: chown -R ${OTHER_UID}:${OTHER_UID} ${folder.file('store')}`,
    )
    await giveTo(OTHER_UID, folder.file('store'))
    await agent.restart()
    expect((await agent.client.images.list()).items[0]?.status).toBe('available')
  })

  const files = ['store/store.json', 'store/lease.1.json', 'store/packs', 'store/uploads']
  const stateFiles = ['state/agent.db', 'state/visibility', 'state/sealing-key']
  test('one file of the store or of the state folder is refused with the path', async () => {
    await using folder = await folderOfOtherUser()
    await using agent = await startAs(OTHER_UID, folder.path)
    await fill(agent)
    await agent.stop()
    for (const name of [...files, ...stateFiles]) {
      await chown(folder.file(name), OWNER, OWNER)
      const root = folder.file(name.split('/')[0] ?? '')
      expect(await refusalAs(OTHER_UID, folder.path)).toBe(
        `${folder.file(name)} belongs to uid ${OWNER}, and the agent runs as uid ${OTHER_UID}, which may not use it. As root, run: chown -R ${OTHER_UID}:${OTHER_UID} ${root}`,
      )
      await chown(folder.file(name), OTHER_UID, OTHER_UID)
    }
    await agent.restart()
  })

  test('its state folder, or to a file of its own without read permission, is refused with the path', async () => {
    await using folder = await folderOfOtherUser()
    await chown(folder.file('state'), OWNER, OWNER)
    await chmod(folder.file('state'), 0o700)
    expect(await refusalAs(OTHER_UID, folder.path)).toContain(`${folder.file('state')} belongs to uid ${OWNER}, and the agent runs as uid ${OTHER_UID}`)
    await chown(folder.file('state'), OTHER_UID, OTHER_UID)
    await chmod(folder.file('store'), 0o500)
    expect(await refusalAs(OTHER_UID, folder.path)).toBe(
      `${folder.file('store')} has mode 500, which keeps its owner from using it. As root, run: chmod -R u+rwX ${folder.file('store')}`,
    )
  })

  test('its configuration or its key is refused with the path', async () => {
    await using folder = await folderOfOtherUser()
    const config = folder.file('service.toml')
    await Bun.write(config, agentToml(folder.path, `[tls]\ncert = "${folder.file('cert.pem')}"\nkey = "${folder.file('key.pem')}"\n`))
    await Bun.write(folder.file('cert.pem'), 'x')
    await Bun.write(folder.file('key.pem'), 'x')
    await chmod(folder.file('key.pem'), 0o600)
    const serve = async (): Promise<string> => {
      const child = Bun.spawn([...agentOfOtherUser, 'serve', '--config', config], {
        env: { PATH: process.env['PATH'], SLIPWAY_TEST_UID: String(OTHER_UID) },
        stdin: 'ignore',
        stdout: 'ignore',
        stderr: 'pipe',
      })
      const text = await new Response(child.stderr).text()
      expect(await child.exited).toBe(2)
      return text
    }
    await chmod(config, 0o644)
    expect(await serve()).toBe(
      `tls.key "${folder.file('key.pem')}" cannot be read: it belongs to root, and the agent runs as uid ${OTHER_UID}, which may not read it. As root, run: chgrp ${OTHER_UID} ${folder.file('key.pem')} && chmod g+r ${folder.file('key.pem')}\n`,
    )
    await chmod(config, 0o600)
    expect(await serve()).toBe(
      `The configuration ${config} cannot be read: it belongs to root, and the agent runs as uid ${OTHER_UID}, which may not read it. As root, run: chgrp ${OTHER_UID} ${config} && chmod g+r ${config}\n`,
    )
  })
})

const mountTest = await requireLoopMount()

mountTest('a start on a file system that is mounted read-only is refused with the path', async () => {
  await using folder = await createTemporaryFolder()
  await using mounted = await mountLoop(folder.path, folder.file('store'), 16 * 1024 * 1024)
  await mounted.makeReadOnly()
  await Bun.write(folder.file('agent.toml'), agentToml(folder.path))
  const ran = await runAgent(['serve', '--config', folder.file('agent.toml')])
  expect(ran).toEqual({
    exitCode: 2,
    stdout: '',
    stderr: `${mounted.path} is on a file system that is mounted read-only. Mount it read-write, then start again.\n`,
  })
})
