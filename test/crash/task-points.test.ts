// The crash points of exports, syncs, imports and tasks.

import { killAtPoints } from './kill-at-points.ts'
import { TASK_SCENARIOS } from './scenarios/points.ts'

killAtPoints(TASK_SCENARIOS)
