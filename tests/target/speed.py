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
import glob
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
    """Run a playbook, and return its seconds. Nothing may fail."""
    took, failures = attempt(target, playbook, pipelining, 1, *arguments, **environment)
    if failures:
        sys.exit('run %s: it did not do what it should: see above' % playbook)
    return took


def attempt(target, playbook, pipelining, hosts, *arguments, **environment):
    """Run a playbook, and return its seconds, and how many of the hosts did not do what they should."""
    start = time.monotonic()
    ran = subprocess.run(
        ('ansible-playbook', playbook) + arguments, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False,
        env=dict(os.environ, TARGET=target, ANSIBLE_INVENTORY=target + '/inventory', ANSIBLE_PIPELINING=str(pipelining), ANSIBLE_STDOUT_CALLBACK='speed',
                 **environment))
    took = time.monotonic() - start
    told = [line for line in ran.stdout.splitlines() if line.endswith(' hosts did all of it')]
    failures = hosts - int(told[0].split()[0]) if told else hosts
    if ran.returncode or failures:
        print(ran.stdout)
        failures = failures or 1
    return took, failures


def take_turns(top, rtt, pipelining, repetitions, plain=False):
    """Return a line for each measured task. Plain is a connection of its own without compression, whose bytes tell what
    is sent; the others have what ansible-core gives to ssh, where the same words twice are hardly sent again."""
    target, out = '%s/rtt%d' % (top, rtt), top + '/lines'
    todo = [{'ansible.builtin.raw': 'true'}, OURS]  # opens the connection, and leaves the program there
    for _ in range(repetitions):
        for subject in SUBJECTS:
            todo += tasks(subject)
    environment, arguments = {}, ()
    if plain:
        environment['ANSIBLE_SSH_ARGS'] = '-o Compression=no -o ControlMaster=auto -o ControlPersist=60s'
        arguments = ('-e', 'ansible_control_path_dir=%s/plain' % target)
    run(target, play(top + '/tasks.json', todo), pipelining, *arguments, SPEED=out, **environment)
    with open(out, encoding='ascii') as f:
        lines = [dict(json.loads(line), rtt=rtt, pipelining=pipelining, plain=plain) for line in f]
    os.remove(out)
    return lines


def side_by_side(top, repetitions, rounds):
    lines = []
    for pipelining in (False, True):
        lines += take_turns(top, RTTS[0], pipelining, 1, plain=True)
    for number in range(rounds):
        for rtt in RTTS:
            for pipelining in (False, True):
                lines += take_turns(top, rtt, pipelining, repetitions)
        print('    side by side: round %d of %d' % (number + 1, rounds), flush=True)
    return lines


def groups(lines, **wanted):
    """Return the lines of each time that a subject was measured. The tasks of the role belong together."""
    of = [line for line in lines if all(line[key] == value for key, value in wanted.items())]
    size = len(set(line['part'] for line in of)) or 1
    return [of[i:i + size] for i in range(0, len(of), size)]


def summary(lines):
    """Return the medians for each setting and subject."""
    rows = []
    for rtt, pipelining in sorted(set((line['rtt'], line['pipelining']) for line in lines)):
        for subject in SUBJECTS:
            plain = groups(lines, pipelining=pipelining, subject=subject, plain=True)
            timed = groups(lines, rtt=rtt, pipelining=pipelining, subject=subject, plain=False) or plain
            row = {'rtt': rtt, 'pipelining': pipelining, 'subject': subject, 'measured': len(timed)}
            for key in ('ms', 'commands', 'turns'):
                row[key] = round(statistics.median(sum(line[key] for line in group) for group in timed), 1)
            row['most_commands'] = max(sum(line['commands'] for line in group) for group in timed + plain)
            for key in ('sent', 'received'):
                row[key] = max(sum(line[key] for line in group) for group in plain)
                row[key + '_compressed'] = round(statistics.median(sum(line[key] for line in group) for group in timed))
            if len(timed[0]) > 1:
                row['parts'] = {line['part']: round(statistics.median(group[i]['ms'] for group in timed), 1) for i, line in enumerate(timed[0])}
            rows.append(row)
    return rows


def spent():
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


def disconnect(*directories):
    """End the ssh processes that keep connections open, which are ours since we adopt orphans, and wait for them: what they
    have spent is known only then."""
    for path in (path for directory in directories for path in glob.glob(directory + '/*')):
        subprocess.run(('ssh', '-O', 'exit', '-o', 'ControlPath=' + path, 'x'), stderr=subprocess.DEVNULL, check=False)
    try:
        while True:
            os.waitpid(-1, 0)
    except ChildProcessError:
        pass


def processor(top, rounds):
    """Return the milliseconds of the controller's processor for a task: ansible-playbook and every ssh, without what a
    playbook takes that only connects."""
    counts, seen = {None: 0, 'ping': 10, 'warm': 30, 'stock': 10, 'role': 5}, {}
    target = top + '/rtt0'
    disconnect(top + '/rtt*/cp', top + '/rtt*/plain')
    for _ in range(rounds):
        for pipelining in (False, True):
            for subject, count in counts.items():
                todo = [{'ansible.builtin.raw': 'true'}] + [dict(SUBJECTS[subject][-1]) for _ in range(count)]
                connections = '%s/cpu' % top
                os.makedirs(connections, exist_ok=True)
                before = spent()
                run(target, play(top + '/cpu.json', todo), pipelining, '-e', 'ansible_control_path_dir=' + connections)
                disconnect(connections)
                seen.setdefault((pipelining, subject), []).append(spent() - before)
    return [
        {'pipelining': pipelining, 'subject': subject,
         'ms': round(1000 * (statistics.median(took) - statistics.median(seen[pipelining, None])) / counts[subject], 1)}
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
    run(target, play(top + '/state.json', [OURS] + SUBJECTS['role']), True)
    disconnect(top + '/rtt*/cp', top + '/rtt*/plain')
    took = {'warm': [], 'role': []}
    for subject in took:
        answer[subject + '_failures'] = 0
    for _ in range(rounds):
        for subject, seconds in took.items():
            before, todo = spent(), [dict(SUBJECTS[subject][-1], vars={'changes': False})]
            its_seconds, failures = attempt(
                target, play(top + '/fleet.json', todo, 'fleet'), True, hosts, '-i', top + '/hosts', '--forks', str(FORKS))
            seconds.append(its_seconds)
            answer[subject + '_failures'] += failures
            disconnect(connections)
            answer[subject + '_cpu_seconds'] = round(spent() - before, 1)
    for subject, seconds in took.items():
        answer[subject + '_seconds'] = round(statistics.median(seconds), 1)
        answer[subject + '_hosts_per_second'] = round(hosts / statistics.median(seconds), 2)
    return answer


def first_line(*command):
    return subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=True).stdout.splitlines()[0]


def conditions():
    """Return on what and with what it was measured."""
    with open('/proc/cpuinfo', encoding='utf-8') as f:
        model = next((line.split(':', 1)[1].strip() for line in f if line.startswith('model name')), platform.machine())
    with open('/proc/meminfo', encoding='ascii') as f:
        memory = int(f.readline().split()[1]) // 1000000
    with open('.collections/ansible_collections/ansible/posix/MANIFEST.json', encoding='utf-8') as f:
        posix = json.load(f)['collection_info']['version']
    return {
        'date': datetime.datetime.now(datetime.timezone.utc).strftime('%Y-%m-%d'),
        'machine': '%d × %s, %d GB, Linux %s' % (os.cpu_count(), model, memory, platform.release().split('-', maxsplit=1)[0]),
        'versions': {
            'ansible-core': first_line('ansible', '--version').split()[-1].strip(']'),
            'ansible.posix': posix,
            'Python of the controller': platform.python_version(),
            'Python of the target': first_line('/usr/bin/python3', '--version').split()[-1],
            'ssh': first_line('ssh', '-V').split(',', maxsplit=1)[0],
            'sudo': first_line('sudo', '--version').split()[-1],
        },
        'program': os.path.getsize('bin/ptrace_scope'),
        'load': round(os.getloadavg()[0], 2),  # of what else the machine does: ours begins now
    }


def judge(found, smoke=False):
    """Print the ratios, and return whether all limits hold."""
    rows = {(row['rtt'], row['pipelining'], row['subject']): row for row in found['tasks']}
    right = True

    def tell(what, value, limit, holds, judged=True):
        nonlocal right
        print('    %-58s %8.2f  limit %-6s %s' % (what, value, limit, 'holds' if holds else 'EXCEEDED' if judged else 'exceeded, not judged here'))
        right = right and (holds or not judged)

    def most(what, value, limit, judged=not smoke):
        tell(what, value, '<= %g' % limit, value <= limit, judged)

    for rtt, pipelining in sorted(set(key[:2] for key in rows)):
        def ms(subject, rtt=rtt, pipelining=pipelining):
            return rows[rtt, pipelining, subject]['ms']
        where = ', %d ms, pipelining %s' % (rtt, 'on' if pipelining else 'off')
        if pipelining:
            most('warm : ping' + where, ms('warm') / ms('ping'), 0.35)
        most('warm : role' + where, ms('warm') / ms('role'), 0.1)
        most('changed : role changed' + where, ms('changed') / ms('role changed'), 0.1)
        most('cold : stock' + where, ms('cold') / ms('stock'), 1.2)
        for subject in ('warm', 'changed'):
            most('%s: commands%s' % (subject, where), rows[rtt, pipelining, subject]['most_commands'], 1, True)
            most('%s: bytes sent, uncompressed%s' % (subject, where), rows[rtt, pipelining, subject]['sent'], 4096, True)
    fast, slow = found['fleet']['warm_hosts_per_second'], found['fleet']['role_hosts_per_second']
    tell('fleet: our hosts per second : those of the role', fast / slow, '>= 5', fast / slow >= 5, not smoke)
    for subject in ('warm', 'role'):
        failures = found['fleet'][subject + '_failures']
        tell('fleet: hosts that failed, %s' % subject, failures, '0', failures == 0)
    return right


def measure(top, smoke):
    """Return all of it. The smoke takes less of everything."""
    found = conditions()
    if smoke:
        found['tasks'] = summary(take_turns(top, RTTS[0], True, 1, plain=True))
        found['fleet'] = fleet(top, 3, 1)
    else:
        found['tasks'] = summary(side_by_side(top, 4, 3))
        found['processor'] = processor(top, 2)
        found['fleet'] = fleet(top, FLEET, 1)
    return found


def main(top, how):
    if top == 'judge':
        with open(how, encoding='utf-8') as f:
            return judge(json.load(f))
    ctypes.CDLL(None).prctl(36, 1)  # PR_SET_CHILD_SUBREAPER: orphans of our children become ours
    found = measure(top, how == 'smoke')
    with open(top + '/speed.json', 'w', encoding='utf-8') as f:
        json.dump(found, f, indent=1, ensure_ascii=False)
        f.write('\n')
    return how != 'smoke' or judge(found, smoke=True)


if __name__ == '__main__':
    sys.exit(not main(*sys.argv[1:]))
