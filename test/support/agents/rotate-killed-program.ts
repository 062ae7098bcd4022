// Rotates the key of a home folder and kills itself at a step: `bun rotate-killed-program.ts HOME STEP`.

import { rotateKey } from '../../../bot/credentials/rotate.ts'
import { systemClock } from '../../../bot/system/clock.ts'
import { openDatabase } from '../../../bot/system/database.ts'
import { homeKeyPath } from '../../../bot/system/key-file.ts'

const [home = '', at] = process.argv.slice(2)
using database = openDatabase(home)
rotateKey({
  ...{ database, clock: systemClock, keyFiles: [], homeKeyFile: homeKeyPath(home) },
  reached: (step) => {
    if (step === at) process.kill(process.pid, 'SIGKILL')
  },
})
