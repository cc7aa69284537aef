#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""
Measures a task of ours beside what somebody could use instead, on targets of scripts/target. Run by scripts/bench-tasks.

Usage: tests/target/speed.py DIRECTORY full|smoke
       tests/target/speed.py judge FILE

DIRECTORY has a target below rtt0 and one below rtt20, and gets speed.json. The subjects take turns, task by task, so that
whatever else the machine does hits all of them alike. judge prints the ratios, and fails where a limit does not hold.
"""

import ctypes
import datetime
import json
import os
import platform
import resource
import statistics
import subprocess
import sys
import time

RTTS = (0, 20)
DROP_INS = '/etc/sysctl.d/zz-ptrace_scope.conf /etc/sysctl.d/zz-baseline.conf'
ROLE = 'role of four tasks'
FLEET, FORKS = 200, 25
CACHE = '/var/cache/hardening.yama'

# What a subject is called, and the tasks that do it.
OURS = {'hardening.yama.ptrace_scope': {'state': 'restricted'}}
SUBJECTS = {
    'changed': [{'ansible.builtin.raw': 'rm -f %s; echo 0 >/proc/sys/kernel/yama/ptrace_scope' % DROP_INS}, OURS],
    'warm': [OURS],
    'ping': [{'ansible.builtin.ping': {}}],
    'cold': [{'ansible.builtin.raw': 'rm -rf %s' % CACHE}, OURS],
    'stock': [{'ansible.legacy.stock_ptrace_scope': {'state': 'restricted'}}],
    'role changed': [{'ansible.builtin.raw': 'rm -f %s; echo 0 >/proc/sys/kernel/yama/ptrace_scope' % DROP_INS},
                     {'ansible.builtin.import_role': {'name': 'peers'}}],
    'role': [{'ansible.builtin.import_role': {'name': 'peers'}}],
}


def tasks(subject):
    """Return the tasks of a subject. The last is what is measured, those before it make the target ready for it."""
    *before, last = SUBJECTS[subject]
    return [dict(task) for task in before] + [dict(last, vars={'subject': subject, 'changes': subject.endswith('changed')})]


def play(name, todo, hosts='admin'):
    with open(name, 'w', encoding='ascii') as f:
        json.dump([{'hosts': hosts, 'gather_facts': False, 'become': True, 'tasks': todo}], f)
    return name


def run(target, playbook, pipelining, *arguments, **environment):
    """Run a playbook, and return its seconds."""
    start = time.monotonic()
    ran = subprocess.run(
        ('ansible-playbook', playbook) + arguments, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False,
        env=dict(os.environ, TARGET=target, ANSIBLE_INVENTORY=target + '/inventory', ANSIBLE_PIPELINING=str(pipelining), **environment))
    took = time.monotonic() - start
    if ran.returncode or 'WRONG' in ran.stdout or 'FAILED' in ran.stdout:
        sys.exit('%s\nrun %s: it did not do what it should: see above' % (ran.stdout, playbook))
    return took


def side_by_side(top, repetitions, rounds):
    """Return a line for each measured task."""
    lines, out = [], top + '/lines'
    for number in range(rounds):
        for rtt in RTTS:
            for pipelining in (False, True):
                todo = [{'ansible.builtin.raw': 'true'}, OURS]  # opens the connection, and leaves the program there
                for _ in range(repetitions):
                    for subject in SUBJECTS:
                        todo += tasks(subject)
                    todo += [{'ansible.builtin.raw': 'true'}, OURS]  # ours is next
                run('%s/rtt%d' % (top, rtt), play(top + '/tasks.json', todo), pipelining, ANSIBLE_STDOUT_CALLBACK='speed', SPEED=out)
                with open(out, encoding='ascii') as f:
                    lines += [dict(json.loads(line), rtt=rtt, pipelining=pipelining) for line in f]
                os.remove(out)
        print('    round %d of %d' % (number + 1, rounds), flush=True)
    return lines


def summary(lines):
    """Return, for each subject and setting, the medians."""
    found = {}
    for line in lines:
        found.setdefault((line['rtt'], line['pipelining'], line['subject']), []).append(line)
    rows = []
    for (rtt, pipelining, subject), of in found.items():
        size = len(set(line['part'] for line in of))  # of the tasks that belong together
        each = [of[i:i + size] for i in range(0, len(of), size)]
        row = {'rtt': rtt, 'pipelining': pipelining, 'subject': subject, 'tasks': size, 'measured': len(each)}
        for key in ('ms', 'commands', 'turns', 'sent', 'received'):
            row[key] = round(statistics.median(sum(line[key] for line in group) for group in each), 1)
        if size > 1:
            row['parts'] = {line['part']: round(statistics.median(group[i]['ms'] for group in each), 1) for i, line in enumerate(each[0])}
        for key in ('commands', 'sent'):
            row['most_' + key] = max(sum(line[key] for line in group) for group in each)
        rows.append(row)
    return rows


def spent():
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


def disconnect(directory):
    """End the ssh processes that keep connections open, which are ours since we adopt orphans, and wait for them."""
    for name in os.listdir(directory):
        subprocess.run(('ssh', '-O', 'exit', '-o', 'ControlPath=%s/%s' % (directory, name), 'x'), stderr=subprocess.DEVNULL, check=False)
    try:
        while True:
            os.waitpid(-1, 0)
    except ChildProcessError:
        pass


def processor(top, rounds):
    """Return the milliseconds of the controller's processor for a task: ansible-playbook and every ssh, without what a
    playbook takes that only connects."""
    counts, seen = {'': 0, 'ping': 10, 'warm': 30, 'stock': 10, 'role': 5}, {}
    target = top + '/rtt0'
    for _ in range(rounds):
        for pipelining in (False, True):
            for subject, count in counts.items():
                todo = [{'ansible.builtin.raw': 'true'}] + [{key: SUBJECTS[subject][-1][key] for key in SUBJECTS[subject][-1]} for _ in range(count)]
                connections = '%s/cpu' % top
                os.makedirs(connections, exist_ok=True)
                before = spent()
                run(target, play(top + '/cpu.json', todo), pipelining, '-e', 'ansible_control_path_dir=' + connections, ANSIBLE_STDOUT_CALLBACK='speed')
                disconnect(connections)
                seen.setdefault((pipelining, subject), []).append(spent() - before)
    return [
        {'pipelining': pipelining, 'subject': subject, 'ms': round(1000 * (statistics.median(took) - statistics.median(seen[pipelining, ''])) / counts[subject], 1)}
        for (pipelining, subject), took in seen.items() if subject]


def fleet(top, hosts, rounds):
    """Return the hosts per second of our task and of the role, where nothing is to be changed. Each host is another name
    of the target, with a connection of its own."""
    target, connections = top + '/rtt0', top + '/fleet'
    os.makedirs(connections)
    with open(target + '/inventory', encoding='ascii') as f:
        known = f.read()
    with open(top + '/hosts', 'w', encoding='ascii') as f:
        f.write(known.split('[target:vars]', maxsplit=1)[0])
        f.write('[fleet]\n' + ''.join('host%03d\n' % i for i in range(hosts)))
        f.write('[fleet:vars]\nansible_user=admin\nansible_control_path=%s/{{ inventory_hostname }}\n[target:children]\nfleet\n' % connections)
        f.write('[target:vars]' + known.split('[target:vars]')[1])
    answer = {'hosts': hosts, 'forks': FORKS, 'pipelining': True, 'rtt': 0}
    run(target, play(top + '/state.json', [OURS] + tasks('role')[:-1] + SUBJECTS['role']), True, ANSIBLE_STDOUT_CALLBACK='speed')
    took = {'warm': [], 'role': []}
    for _ in range(rounds):
        for subject, seconds in took.items():
            before, todo = spent(), [dict(SUBJECTS[subject][-1], vars={'changes': False})]
            seconds.append(run(
                target, play(top + '/fleet.json', todo, 'fleet'), True, '-i', top + '/hosts', '--forks', str(FORKS), ANSIBLE_STDOUT_CALLBACK='speed'))
            disconnect(connections)
            answer[subject + '_cpu_seconds'] = round(spent() - before, 1)
    for subject, seconds in took.items():
        answer[subject + '_seconds'] = round(statistics.median(seconds), 1)
        answer[subject + '_hosts_per_second'] = round(hosts / statistics.median(seconds), 2)
    return answer


if __name__ == '__main__':
    ctypes.CDLL(None).prctl(36, 1)  # PR_SET_CHILD_SUBREAPER: orphans of our children become ours
    what, rounds = sys.argv[2], int(os.environ.get('ROUNDS', '1'))
    if what == 'tasks':
        print(json.dumps(summary(side_by_side(sys.argv[1], int(os.environ.get('REPS', '2')), rounds)), indent=1))
    if what == 'cpu':
        print(processor(sys.argv[1], rounds))
    if what == 'fleet':
        print(fleet(sys.argv[1], int(os.environ.get('FLEET', '200')), rounds))
