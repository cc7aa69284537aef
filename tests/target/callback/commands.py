# SPDX-License-Identifier: GPL-3.0-or-later
"""
Counts, for each task that has a variable named commands, what sshd was asked for while it ran, by sshd's own log: commands
and transfers. Prints a line for each, which begins with WRONG where there were not as many as the variable says ("many"
is ansible-core's own way for binary modules), or where the task fails without, or against, its variable fails.
"""

from __future__ import annotations

import json
import os
import re
import time

from ansible.plugins.callback import CallbackBase

DOCUMENTATION = '''
name: commands
type: stdout
short_description: counts what sshd is asked for
description: [Counts what sshd is asked for.]
'''


class CallbackModule(CallbackBase):

    CALLBACK_VERSION = 2.0
    CALLBACK_TYPE = 'stdout'
    CALLBACK_NAME = 'commands'

    def __init__(self):
        super().__init__()
        self._log = os.path.join(os.environ['TARGET'], 'log')
        self._before, self._name = 0, ''

    def _count(self):
        with open(self._log, encoding='utf-8', errors='replace') as f:
            return sum(line.startswith('Starting session: ') for line in f)

    def _count_until(self, enough):
        """Return how many there are once sshd, which may be late to write it, has told of enough, and tells of no more."""
        deadline, last, count = time.monotonic() + 10, -1, self._count()
        while time.monotonic() < deadline and (count - self._before < enough or count != last):
            time.sleep(0.05)
            last, count = count, self._count()
        return count - self._before

    def v2_playbook_on_task_start(self, task, is_conditional):
        self._before, self._name = self._count(), task.get_name()

    def _tell(self, result, failed):
        task, answer = result._task, result._result
        want = task.vars.get('commands')
        asked = self._count_until(6 if want == 'many' else want or 0)
        fails = task.vars.get('fails')
        # What no module says is what a task without no_log says.
        msg = answer.get('msg', '')
        right = failed == (fails is not None)
        if right and failed:
            right = re.search(fails, str(msg)) is not None
        if want is not None:
            right = right and (asked > 5 if want == 'many' else asked == want)
        if 'shows' in task.vars:
            right = right and task.vars['shows'] in json.dumps(answer.get('invocation'))
        if want is not None or not right:
            self._display.display('%s %-14s %2d  %s%s' % (
                '   ' if right else 'WRONG', result._host.get_name(), asked, self._name,
                '' if right else ' (wanted %s): %s' % (want, answer)))

    def v2_runner_on_ok(self, result):
        self._tell(result, False)

    def v2_runner_on_failed(self, result, ignore_errors=False):
        self._tell(result, True)

    def v2_runner_on_unreachable(self, result):
        self._tell(result, True)

    def v2_playbook_on_stats(self, stats):
        self._display.display('all of it ran')
