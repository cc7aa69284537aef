# Copyright: (c) 2026, The hardening.yama authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""
Runs the program on the target: in one command where it is there already, otherwise by ansible-core's way for binary
modules, which sends the build for the target's architecture. Options are checked by the program itself.
"""

from __future__ import absolute_import, division, print_function

__metaclass__ = type

import hashlib
import json
import os
import re
import shlex

from ansible import constants as C
from ansible.errors import AnsibleActionFail
from ansible.module_utils.parsing.convert_bool import boolean
from ansible.plugins.action import ActionBase

# What uname -sm prints, and the build for it.
BUILDS = {
    'Linux x86_64': 'linux_amd64',
    'Linux aarch64': 'linux_arm64',
    'Linux ppc64le': 'linux_ppc64le',
    'Linux s390x': 'linux_s390x',
    'Linux riscv64': 'linux_riscv64',
}

# The everyday program, and the larger one that can run a package manager of the site's own.
EVERYDAY = 'ptrace_scope'
PLUGINS = 'ptrace_scope_plugins'

BUILD_DIR = os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), 'modules', '__bin__')

# What the target prints when it has no program that may be run, before its uname -sm.
NEED = 'hardening.yama needs'

# A kernel takes at most 128 KiB in one argument.
LONGEST = 65536

# Keys by which a target could make ansible-core do something, or show something in its own name. The program answers with none
# of them.
FOREIGN = frozenset(('add_host', 'add_group', 'ansible_facts', 'ansible_stats', 'deprecations', 'exception', 'results'))

# Keys of text that has lines. All other text is shown on one line, and is no longer than the program's own (lineLimit in
# module/internal/printable).
IN_LINES = frozenset(('after', 'before', 'invocation', 'log', 'module_stderr', 'module_stdout'))
LONGEST_LINE = 8192

# The last words of a target that gave no report are shorter.
LONGEST_WORDS = 200

# The escapes of one letter.
ESCAPES = dict(zip('\a\b\f\n\r\v', 'abfnrv'))

# What ansible-core adds to the options that the program has no use for.
UNUSED = frozenset('_ansible_%s' % name for name in (
    'keep_remote_files', 'remote_tmp', 'selinux_special_fs', 'shell_executable', 'socket', 'string_conversion_action', 'tmpdir'))

# The program that the target's sh runs, with the words in capitals that are to be replaced.
SCRIPT_FILE = os.path.join(os.path.dirname(os.path.abspath(__file__)), 'run_cached.sh')
PLACEHOLDER = re.compile('SUMS|PROGRAM|ENVIRONMENT|ARGUMENTS|NEED')


def one_line(text, check_mode):
    """Return a shell program as one line, without comments. In check mode the line that writes the marker is left out."""
    script = ''
    for line in text.splitlines():
        line, _unused, comment = line.strip().partition(' # ')
        if not line or line.startswith('#'):
            continue
        if check_mode and comment == 'not in check mode':
            script = script[:-len(' &&')]
            continue
        if script:
            script += ' ' if script.endswith((' do', ' then', ' {', ' in', ';;', '&&')) else '; '
        script += line
    return script


def scripts():
    with open(SCRIPT_FILE) as f:
        text = f.read()
    return dict((check_mode, one_line(text, check_mode)) for check_mode in (False, True))


# Here and not in run(): each task runs in a process of its own, forked from one that has imported this.
SCRIPTS = scripts()


def command_of(check_mode, **values):
    """Return the command for the target, with values for the placeholders: sums, program, environment, arguments, need."""
    return PLACEHOLDER.sub(lambda found: values[found.group(0).lower()], SCRIPTS[bool(check_mode)])


def path_of(program, build):
    return os.path.join(BUILD_DIR, '%s_%s' % (program, build))


def checksum_of(program, build):
    """Return the SHA-256 of a build as text, or nothing where this installation does not have it."""
    try:
        with open(path_of(program, build), 'rb') as f:
            return hashlib.sha256(f.read()).hexdigest()
    except (IOError, OSError):
        return None


CHECKSUMS = dict(
    (program, dict((machine, checksum_of(program, build)) for machine, build in BUILDS.items()))
    for program in (EVERYDAY, PLUGINS))


def word(value):
    """Return a value as one line of JSON that every shell takes for one word when it stands in single quotes."""
    text = json.dumps(value, default=lambda v: v.isoformat() if hasattr(v, 'isoformat') else str(v), separators=(',', ':'))
    # Outside of strings JSON has none of these. A backslash that is none of JSON's own comes as two.
    return text.replace('\\\\', '\\u005c').replace("'", '\\u0027').replace('!', '\\u0021')


def printable(text, lines=False):
    """
    Return text with a visible escape in place of each character that is not printable, and at most so long. With lines its line
    breaks stay, and it is whole. The program does the same to its own report (module/internal/printable).
    """
    if not text.isprintable():
        text = ''.join(c if c.isprintable() or c == '\t' or lines and c == '\n' else escape(c) for c in text)
    return text if lines or len(text) <= LONGEST_LINE else text[:LONGEST_LINE] + '\u2026'


def escape(character):
    """Return the visible escape of a character."""
    if character in ESCAPES:
        return '\\' + ESCAPES[character]
    number = ord(character)
    if 0xdc80 <= number <= 0xdcff:  # a byte that is not UTF-8, as Python decodes it
        return '\\x%02x' % (number - 0xdc00)
    return ('\\x%02x' if number < 0x80 else '\\u%04x' if number < 0x10000 else '\\U%08x') % number


def shown(value, lines=False):
    """Return a report, or a part of one, with all of its text printable."""
    if isinstance(value, dict):
        return dict((printable(key, lines), shown(part, lines or key in IN_LINES)) for key, part in value.items())
    if isinstance(value, list):
        return [shown(part, lines) for part in value]
    return printable(value, lines) if isinstance(value, str) else value


def shown_line(line):
    """
    Return a line of a target's answer without anything that a terminal or ansible-core obeys. An object must be on one line.
    ansible-core would also read one of several lines, and make characters of its escapes after this.
    """
    line = line.rstrip('\r')  # a terminal on the target ends lines so
    if line.lstrip().startswith('{'):
        try:
            return json.dumps(shown(dict((key, value) for key, value in json.loads(line).items() if key not in FOREIGN)))
        except (ValueError, RecursionError):
            line = line.replace('{', escape('{'), 1)
    return printable(line)


def report_in(output):
    """Return the program's report, or what the target is that needs a program, from the output of a command."""
    for line in reversed(output.split('\n')):  # splitlines has more that ends a line, which may stand in a report
        line = line.strip()
        if line.startswith(NEED + ' '):
            return None, line[len(NEED):].strip()[:LONGEST_WORDS]
        if line.startswith('{'):
            try:
                report = json.loads(line)
            except (ValueError, RecursionError):
                continue
            if 'changed' in report and 'msg' in report:
                return dict((key, value) for key, value in report.items() if not key.startswith('_')), None
    return None, None


def signal_in(answer):
    """Return the signal that ended a command, or nothing."""
    rc = answer.get('rc') or 0
    return rc - 128 if 128 < rc <= 192 else None


def cause_in(answer, directory=None):
    """Return why no report came back, from what a command left: how it ended, and the last words."""
    causes, rc = [], answer.get('rc')
    if signal_in(answer):
        causes.append('it was ended by signal %d' % signal_in(answer))
    if rc == 126 and directory:
        causes.append('the target may not run programs from %s, which is mounted noexec perhaps: name another directory with ansible_remote_tmp' % directory)
    for output in ('stdout', 'stderr', 'module_stdout', 'module_stderr'):
        lines = [line.strip() for line in (answer.get(output) or '').split('\n') if line.strip()]
        if lines:
            causes.append('the last words are: %s' % lines[-1][:LONGEST_WORDS])
            break
    return '; '.join(causes) or 'nothing was said, with status %s' % rc


class ProgramAction(ActionBase):
    """The action of a module that is a program. The program learns from _hardening_yama_module which of them it is."""

    module = None

    def run(self, tmp=None, task_vars=None):
        # Set here: the attribute became a property of the class in some versions of ansible-core.
        self._supports_async = True
        self._supports_check_mode = True
        result = super(ProgramAction, self).run(tmp, task_vars)
        del tmp
        if result.get('skipped'):
            return result

        task_vars = task_vars or {}
        # Plain values: what came from a vault or a template is an object of ansible-core's.
        arguments = json.loads(word(dict(self._task.args, _hardening_yama_module=self.module)))
        catalog = arguments.get('catalog')
        if catalog not in (None, ''):
            # Any YAML there is for plays: the program has no parser.
            content = self._loader.load_from_file(self._find_needle('files', str(catalog)))
            arguments['_hardening_yama_catalog'] = {} if content is None else json.loads(word(content))
        self._program = PLUGINS if arguments.get('backend_plugin') is not None else EVERYDAY
        machine = None
        command = self._command(arguments, task_vars)
        if command is not None:
            answer = self._low_level_execute_command(command)
            report, machine = report_in(answer.get('stdout', ''))
            if report is None and machine is None and signal_in(answer):
                report = self._no_report(answer)  # somebody ended it, and may have had a reason
            if report is not None:
                result.update(report)
                return result
            if machine is None:
                # A login shell of become's that reads the script before sh does, say. What the program does can be done twice.
                self._display.vvv('no report came back, so the program is sent: %s' % cause_in(answer))
            else:
                self._display.vvv('the program is not on the target, so it is sent: %s' % machine)
            checksum = CHECKSUMS[self._program].get(machine)
            if checksum and not self._task.check_mode:
                arguments['_hardening_yama_cache_as'] = checksum
        result.update(self._send(self._build(machine or self._machine()), arguments, task_vars))
        return result

    def _low_level_execute_command(self, *args, **kwargs):
        """
        Run a command on the target, for this plugin or for ansible-core, and return an answer that can be shown. ansible-core
        shows what a command said that failed in its own messages: there further lines are indented.
        """
        answer = super(ProgramAction, self)._low_level_execute_command(*args, **kwargs)
        for stream in ('stdout', 'stderr'):
            lines = [shown_line(line) for line in answer.get(stream, '').split('\n')]
            answer[stream] = ('\n  ' if answer.get('rc') else '\n').join(lines)
            answer[stream + '_lines'] = answer[stream].splitlines()
        return answer

    def _command(self, arguments, task_vars):
        """Return the command that runs the program if it is on the target, or nothing where ansible-core's own way is due."""
        shell = self._connection._shell
        if (
            self._task.async_val  # ansible-core starts it in the background
            or C.DEFAULT_KEEP_REMOTE_FILES
            or getattr(shell, 'SHELL_FAMILY', None) != 'sh'
            or self._connection.transport.split('.')[-1] == 'local'  # nothing is far away
            or not self._may_keep(task_vars)
        ):
            return None
        arguments = dict(arguments)
        self._update_module_args(self.module, arguments, task_vars)
        if arguments.get('_ansible_no_log', True):  # sudo keeps command lines in its log, and ps shows them
            return None
        arguments = dict((key, value) for key, value in arguments.items() if key not in UNUSED)
        command = command_of(
            self._task.check_mode,
            sums=' '.join(sorted(set(filter(None, CHECKSUMS[self._program].values())))) or 'none',
            program=self._program,
            environment=self._compute_environment_string(),
            arguments="'%s'" % word(arguments),
            need=NEED,
        )
        # The become method, its flags and the connection each put it in quotes.
        return command if len(shlex.quote(shlex.quote(shlex.quote(command)))) <= LONGEST else None

    def _may_keep(self, task_vars):
        """Tell whether the program may stay on the target, which is the delegated one where there is one."""
        if self._task.delegate_to:
            task_vars = dict(task_vars, **(task_vars.get('ansible_delegated_vars') or {}).get(self._task.delegate_to, {}))
        value = self._templar.template(task_vars.get('hardening_yama_cache', True))
        return boolean(value, strict=False)

    def _send(self, build, arguments, task_vars):
        """Run a build by ansible-core's way for binary modules."""
        wrap_async = self._task.async_val and not getattr(self._connection, 'has_native_async', False)
        result = self._execute_module(
            module_name='hardening.yama.__bin__.%s_%s' % (self._program, build),
            module_args=arguments,
            task_vars=task_vars,
            wrap_async=wrap_async,
        )
        if not wrap_async:
            if 'module_stdout' in result:  # ansible-core's own words for a module that gave no report are the same for each cause
                result['msg'] = self._message(result, self._connection._shell.tmpdir)
            self._remove_tmp_path(self._connection._shell.tmpdir)
        return result

    def _message(self, answer, directory=None):
        return 'run %s: no report came back: %s' % (self.module, cause_in(answer, directory))

    def _no_report(self, answer):
        """Return a failure in the form that ansible-core has for a module that says nothing."""
        return dict(
            failed=True,
            changed=False,
            msg=self._message(answer),
            module_stdout=answer.get('stdout', ''),
            module_stderr=answer.get('stderr', ''),
            rc=answer.get('rc'),
        )

    def _machine(self):
        """Ask the target for its architecture."""
        answer = self._low_level_execute_command('uname -sm', sudoable=False)
        lines = answer.get('stdout', '').strip().splitlines()
        machine = lines[-1].strip()[:LONGEST_WORDS] if lines else ''
        if answer.get('rc') != 0 or not machine:
            raise AnsibleActionFail('ask the target for its architecture (uname -sm): %s' % printable((answer.get('stderr') or 'no answer').strip()))
        return machine

    def _build(self, machine):
        """Return the name of the build for a machine, or fail with what is missing."""
        build = BUILDS.get(machine)
        if build is None:
            raise AnsibleActionFail('%s does not run on %s: there are builds for %s' % (self.module, machine, ', '.join(sorted(BUILDS))))
        if not os.path.exists(path_of(self._program, build)):
            what, target = ('build that runs plugins', 'build-plugins') if self._program == PLUGINS else ('build', 'build')
            raise AnsibleActionFail('%s has no %s for %s in this installation: %s is missing. In a checkout of the collection, run: make %s GOARCH=%s' % (
                self.module, what, machine, path_of(self._program, build), target, build.split('_')[1]))
        return build
