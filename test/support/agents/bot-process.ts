// The service of the bot in a process of its own, which can be killed and restarted, with the page at an address that stays.

import { createCuttingProxy } from '../clients/cutting-proxy.ts'
import type { CuttingProxy } from '../clients/cutting-proxy.ts'
import { freePort } from '../machine/free-port.ts'
import { botProgram } from './programs.ts'

export interface BotProcess extends AsyncDisposable {
  /** Between browsers and the page: its address stays when the service is restarted. */
  readonly proxy: CuttingProxy
  /** Where the service itself listens, until it is restarted. */
  readonly url: string
  readonly pid: number
  /** Sends SIGKILL; resolves when the process has exited. */
  kill(): Promise<void>
  /** Kills the service and starts it on the same home. */
  restart(): Promise<void>
}

/** Starts the service on a home folder, and waits until it serves the page. `program` is run in the home folder, with `settings` in its environment. */
export async function startBotProcess(
  home: string,
  program: readonly string[] = botProgram(),
  settings: Readonly<Record<string, string>> = {},
): Promise<BotProcess> {
  const proxy = await createCuttingProxy(0)
  let running = await launch(home, proxy, program, settings)
  const kill = async (): Promise<void> => {
    running.child.kill('SIGKILL')
    await running.child.exited
  }
  return {
    proxy,
    get url() {
      return `http://127.0.0.1:${running.port}`
    },
    get pid() {
      return running.child.pid
    },
    kill,
    async restart() {
      await kill()
      running = await launch(home, proxy, program, settings)
    },
    async [Symbol.asyncDispose]() {
      await kill()
      await proxy[Symbol.asyncDispose]()
    },
  }
}

interface Running {
  readonly child: Bun.Subprocess<'ignore', 'ignore', 'pipe'>
  readonly port: number
}

async function launch(home: string, proxy: CuttingProxy, program: readonly string[], settings: Readonly<Record<string, string>>): Promise<Running> {
  const port = await freePort()
  const child = Bun.spawn([...program, 'serve'], {
    cwd: home,
    stdin: 'ignore',
    stdout: 'ignore',
    stderr: 'pipe',
    env: {
      PATH: process.env['PATH'],
      HOME: process.env['HOME'],
      SLIPWAY_HOME: home,
      SLIPWAY_WEB_LISTEN: `127.0.0.1:${port}`,
      SLIPWAY_WEB_URL: proxy.url,
      ...settings,
    },
  })
  let output = ''
  const serving = Promise.withResolvers<void>()
  const reading = (async () => {
    for await (const piece of child.stderr.pipeThrough(new TextDecoderStream())) {
      output += piece
      if (output.includes('"msg":"serving the page"')) serving.resolve()
    }
  })()
  const ended = child.exited.then(async (): Promise<never> => {
    await reading
    throw new Error(`the service ended before it served the page:\n${output}`)
  })
  ended.catch(() => {})
  await Promise.race([serving.promise, ended])
  proxy.setTarget(port)
  return { child, port }
}
