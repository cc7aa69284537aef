#!/usr/bin/python
# -*- coding: utf-8 -*-

# Copyright: (c) 2026, The hardening.yama authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Made from schema/ptrace_scope.yml by "make generate": change it there.
# This file is documentation. The module itself is a program, built into plugins/modules/__bin__ and started by the
# action plugin of the same name.

from __future__ import absolute_import, division, print_function

__metaclass__ = type

DOCUMENTATION = r'''
---
module: ptrace_scope
short_description: Decide how far processes may look into each other with ptrace
version_added: 0.1.0
author:
  - The hardening.yama authors (@hardening-yama)
description:
  - Keeps C(kernel.yama.ptrace_scope) as declared, in the running kernel and across reboots.
  - One run observes the host, decides, reconciles the package that sets the value, the drop-in of sysctl.d(5) and the
    value in the running kernel as one unit, verifies the result, and reports what it did and why. A second run changes
    nothing.
  - Implements the Fedora Change I(Restrict ptrace by default).
options:
  state:
    description:
      - What ordinary processes may do to each other.
      - V(restricted) denies attaching to processes that are not children of the debugger.
      - V(permissive) is classic ptrace, scope 0, in the distribution's own way. That is the package that enables it
        (the enabler) where there is one, and a drop-in where there is none.
      - V(auto) is permissive exactly while a debugger is installed and restricted otherwise. A local administrator's
        own setting is respected and reported.
    type: str
    required: true
    choices: [auto, permissive, restricted]
  restricted_scope:
    description:
      - What restricted means on this host. V(1) denies attaching to non-children, V(2) leaves ptrace to processes with
        C(CAP_SYS_PTRACE), V(3) forbids it to everybody.
      - V(3) cannot be left without a reboot.
    type: int
    choices: [1, 2, 3]
    default: 1
  exact:
    description:
      - By default a stricter value that is already in force is kept and reported as RV(stricter_kept).
      - With V(true) the value becomes the one that is asked for, even where that loosens it.
    type: bool
    default: false
  packages:
    description:
      - V(auto) manages the enabler where the distribution has one and it can be had, and falls back to a drop-in or a
        mask with a warning.
      - V(manage) fails where V(auto) would fall back.
      - V(ignore) never installs or removes a package.
    type: str
    choices: [auto, manage, ignore]
    default: auto
  debuggers:
    description:
      - Names of further debuggers that O(state=auto) counts, as packages, or as programs in C(/usr/local/bin) and
        C(/usr/local/sbin).
    type: list
    elements: str
    default: []
  ignore_debuggers:
    description:
      - Names of debuggers, or of their packages, that O(state=auto) does not count.
    type: list
    elements: str
    default: []
  catalog:
    description:
      - A file of YAML on the controller, with distributions and debuggers of your own that are added to those that the
        module knows. docs/catalog.md of the collection shows what it may say.
      - It is looked up like the C(src) of M(ansible.builtin.copy), in C(files/) of the role or next to the playbook.
    type: path
  conflicts:
    description:
      - What to do about settings of others that would win over the one of this module, and with O(state=restricted) about
        a local setting below O(restricted_scope) even where it would not. O(state=auto) respects local settings instead.
      - V(resolve) comments a local line out where it stands, marked, with the file as it was beside it (its name and
        C(.ptrace_scope~)). A file that a package owns is never edited. Where it sets nothing else it is masked by name,
        otherwise the module fails.
      - V(report) leaves them all and warns.
      - V(fail) fails before anything is done.
    type: str
    choices: [resolve, report, fail]
    default: resolve
  persistent:
    description:
      - Whether to reconcile what the next boot sets, that is the packages and the drop-ins.
    type: bool
    default: true
  runtime:
    description:
      - Whether to reconcile the value in the running kernel.
      - Installing the enabler sets the running value to 0 by its own scriptlet, whatever this option says.
    type: bool
    default: true
  reason:
    description:
      - Who asks for it and why, in one line. It is kept in the header of the drop-in, which everybody can read.
    type: str
  verify:
    description:
      - How to verify the running value. V(value) reads it back.
      - V(attach) also has short-lived unprivileged processes of its own try to trace each other, and returns RV(proof). The
        module fails where they may do more than the scope allows. Where they may do less, as below a seccomp filter, it
        warns and says what is likely to be in the way. Check mode tries nothing.
    type: str
    choices: [value, attach]
    default: value
  yama_missing:
    description:
      - What to do on a kernel without Yama, where restricted cannot be true.
      - V(fail) fails and says how to get Yama.
      - V(ignore) warns and changes nothing.
    type: str
    choices: [fail, ignore]
    default: fail
  lock_timeout:
    description:
      - How many seconds to wait for another run of this module on the same host, and for a package manager that is busy.
    type: int
    default: 60
  root:
    description:
      - The root of a mounted tree, for an image that is being built.
      - Only what is persistent counts then, and the running kernel is left alone. Packages are asked for and installed by
        this host's package manager with its own option for another root (dnf5, dnf, zypper, pacman and apk have one), without
        scriptlets where it can do without. With apt, or where the tree's manager is not on this host, drop-ins are used.
      - Nobody but root may be able to write to the tree's directories.
    type: path
    default: /
  backend:
    description:
      - The package manager to use, in place of the one that the distribution is known to have.
      - V(none) leaves packages alone. Debuggers are still found as packages where there is a database of them.
    type: str
    choices: [dnf5, dnf, zypper, apt, pacman, apk, none]
  backend_plugin:
    description:
      - A package manager of the site's own to use, for hosts that have none of the known ones. It is a program that speaks
        the protocol of this collection, see C(docs/plugins.md), and that lies on the host already.
      - The module's larger build, which can run such programs, is sent and kept for tasks with this option.
    type: dict
    suboptions:
      path:
        description:
          - The absolute path of the program. It and all directories above it must belong to root, be no links, and not be
            writable by others.
        type: path
        required: true
      sha256:
        description:
          - The SHA-256 that its content must have, in hexadecimal digits. What does not have it is not run.
        type: str
        required: true
attributes:
  check_mode:
    description: Can run in check mode and return what it would do, without writing anything to the host.
    support: full
  diff_mode:
    description: Returns what it changed, or would change in check mode, as text before and after.
    support: full
  platform:
    description: Where it runs. No Python is needed on the host.
    support: full
    platforms: linux
notes:
  - Needs root on the host, so use C(become). Check mode works for an ordinary user as far as the files can be read.
  - Packages are managed with dnf5, dnf, zypper, apt, pacman or apk. On hosts that boot images (rpm-ostree, bootc,
    transactional-update) and where C(/usr) is read-only, packages are left alone and the module works in C(/etc).
  - apt and pacman are asked for what their lists of repositories say as they lie. To fetch them anew is left to whoever
    maintains the host.
  - What is done and why is in the system's log, as with Ansible's own modules, in check mode, too. In the journal its fields
    begin with C(PTRACE_SCOPE_). Free text and names among the options are not logged by the module. With C(no_log), or
    C(no_target_syslog), nothing is.
  - The setting belongs to the kernel. A container has the value of its host and cannot change it.
  - The first task of a host sends the program. Root keeps it there, as C(/var/cache/hardening.yama/ptrace_scope-)I(SHA-256),
    so that later tasks are one command. With the variable C(hardening_yama_cache=false) nothing is kept, and nothing that
    was kept is run.
  - In that one command the options, from a vault or not, stand on the command line. Users of the host can see them there while
    it runs, and sudo keeps them in its log. With C(no_log), or C(no_target_syslog), they are sent in a file.
seealso:
  - module: hardening.yama.ptrace_scope_info
  - name: Yama in the kernel's administrator guide
    description: What each value of the scope means.
    link: https://docs.kernel.org/admin-guide/LSM/Yama.html
  - name: sysctl.d(5)
    description: How drop-ins override, mask and follow each other.
    link: https://www.freedesktop.org/software/systemd/man/latest/sysctl.d.html
'''

EXAMPLES = r'''
---
- name: Follow the policy of the distribution, permissive exactly while a debugger is installed
  hardening.yama.ptrace_scope:
    state: auto
  become: true

- name: Deny attaching to processes that are not children
  hardening.yama.ptrace_scope:
    state: restricted
    reason: "Baseline 2026, section 4"
  become: true

- name: Leave ptrace to root, and lower a stricter value that is already in force
  hardening.yama.ptrace_scope:
    state: restricted
    restricted_scope: 2
    exact: true
  become: true

- name: Count a debugger of our own, and not elfutils, which the build tools pull in
  hardening.yama.ptrace_scope:
    state: auto
    debuggers: [tracelord]
    ignore_debuggers: [elfutils]
  become: true

- name: Let debuggers in on a build host, without touching packages
  hardening.yama.ptrace_scope:
    state: permissive
    packages: ignore
    reason: "CI debugging, asked for by the build team"
  become: true
'''

RETURN = r'''
---
msg:
  description: The outcome in one plain sentence.
  returned: always
  type: str
  sample: "restricted: kernel.yama.ptrace_scope is now 1 and stays 1 after a reboot"
state:
  description: The state that was asked for.
  returned: when the arguments are valid
  type: str
  sample: auto
decision:
  description: What the host should have, and why.
  returned: when the host could be observed
  type: dict
  contains:
    scope:
      description: The scope that was decided on.
      type: int
      sample: 1
    because:
      description: The reason in words, with the evidence.
      type: str
      sample: no debugger is installed
runtime:
  description: The value in the running kernel. V(null) without Yama. In check mode RV(runtime.after) is the predicted one.
  returned: when the host could be observed
  type: dict
  contains:
    before:
      description: The value before the run.
      type: int
      sample: 0
    after:
      description: The value after the run.
      type: int
      sample: 1
persistent:
  description: What the next boot sets. In check mode RV(persistent.after) is the predicted one.
  returned: when the host could be observed
  type: dict
  contains:
    before:
      description: Before the run.
      type: dict
      contains: &persistent
        boot:
          description: The value that systemd-sysctl sets at boot. V(null) where nothing names the key.
          type: int
          sample: 1
        boot_source:
          description: File and line that RV(persistent.before.boot) comes from, or V(null).
          type: str
          sample: /etc/sysctl.d/zz-ptrace_scope.conf:3
        reload:
          description: The value that C(sysctl --system) of procps would set. V(null) where nothing names the key.
          type: int
          sample: 1
        reload_source:
          description: File and line that RV(persistent.before.reload) comes from, or V(null).
          type: str
          sample: /etc/sysctl.d/zz-ptrace_scope.conf:3
    after:
      description: After the run, with the same keys as RV(persistent.before).
      type: dict
      contains: *persistent
packages:
  description: The package manager and what was done with it.
  returned: when the host could be observed
  type: dict
  contains:
    manager:
      description:
        - The package manager in use, V(none) where the module leaves packages alone on this host.
        - V(rpm-ostree), V(bootc) and V(transactional-update) are recognised and never driven.
      type: str
      sample: dnf5
    read_only:
      description: Why no package can be installed or removed on this host, for instance because it boots images. V(null) where they can.
      type: str
      sample: null
    enabler:
      description: The installed package whose drop-in sets 0, or V(null).
      type: str
      sample: yama-ptrace-enable
    installed:
      description: Packages that were installed.
      type: list
      elements: str
      sample: []
    removed:
      description: Packages that were removed.
      type: list
      elements: str
      sample: [yama-ptrace-enable]
debuggers:
  description: The installed tools that attach to processes they did not start.
  returned: when the host could be observed
  type: list
  elements: dict
  contains:
    name:
      description: Name of the package, or of the program.
      type: str
      sample: strace
    version:
      description: Version of the package, V(null) for a program.
      type: str
      sample: 6.18-1.fc45
    source:
      description: How it was found, V(package) or V(path).
      type: str
      sample: package
    why:
      description: Why it is there. Only M(hardening.yama.ptrace_scope_info) asks that, here it is V(null).
      type: str
drop_in:
  description: The drop-in of this module that carries the value.
  returned: when the host could be observed
  type: dict
  contains:
    path:
      description: The file, or V(null) where the state needs none.
      type: str
      sample: /etc/sysctl.d/zz-ptrace_scope.conf
    action:
      description: What became of it, V(created), V(replaced), V(removed), V(unchanged) or V(absent).
      type: str
      sample: created
settings:
  description: Every place that names the key, with what becomes of it. In check mode, as predicted.
  returned: when the host could be observed
  type: list
  elements: dict
  contains:
    file:
      description: The file, or C(/proc/cmdline).
      type: str
      sample: /usr/lib/sysctl.d/10-default-yama-scope.conf
    line:
      description: The line.
      type: int
      sample: 1
    value:
      description: The value as it is written.
      type: str
      sample: "0"
    origin:
      description: Whose it is. V(ours) is a file of this collection, V(vendor) a package's that nobody changed, V(local) all else.
      type: str
      sample: vendor
    package:
      description: The package, for a file outside of C(/usr/lib) that is a package's. V(null) otherwise.
      type: str
      sample: yama-ptrace-enable
    standing:
      description: What becomes of it, V(effective), V(overridden), V(masked), or V(refused) by the kernel.
      type: str
      sample: overridden
    by:
      description: The place that overrides it, or the file that masks it. V(null) where there is none.
      type: str
      sample: /etc/sysctl.d/zz-ptrace_scope.conf:3
    loader:
      description: For which loader it stands so, V(boot), V(reload) or V(both).
      type: str
      sample: both
actions:
  description: What was done, in that order. In check mode, what would be done.
  returned: when the host could be observed
  type: list
  elements: dict
  contains: &action
    action:
      description: One of V(write), V(remove), V(mask), V(unmask), V(comment), V(install), V(uninstall), V(set).
      type: str
      sample: write
    object:
      description: The file, the package or the key.
      type: str
      sample: /etc/sysctl.d/zz-ptrace_scope.conf
    because:
      description: Why.
      type: str
      sample: restricted is a plain line of its own, in a file that wins
rolled_back:
  description: What was put back after a failure, as in RV(actions), in the order it was put back.
  returned: on failure after something was done
  type: list
  elements: dict
  contains: *action
reboot_required:
  description: Whether only a reboot can make the running kernel follow, since it holds 3.
  returned: when the host could be observed
  type: bool
  sample: false
verified:
  description: Whether the host was observed again after the last change and needed nothing more.
  returned: when the host could be observed
  type: bool
  sample: true
proof:
  description: What unprivileged processes of ours met when they tried to trace each other, each V(allowed), V(denied), or another error's text.
  returned: with O(verify=attach), when the run came that far
  type: dict
  contains:
    sibling:
      description: Attaching to a process that the tracer did not start.
      type: str
      sample: denied
    child:
      description: Attaching to the tracer's own child.
      type: str
      sample: allowed
    named:
      description: Attaching to a process that named its tracer with C(PR_SET_PTRACER).
      type: str
      sample: allowed
    traceme:
      description: Asking one's parent to trace, as C(strace ./program) does.
      type: str
      sample: allowed
stricter_kept:
  description: Whether a stricter value than the one asked for was found and kept.
  returned: when the host could be observed
  type: bool
  sample: false
diff:
  description: The drop-ins, masks, packages and the running value that change, as text before and after.
  returned: in diff mode
  type: list
  elements: dict
  contains:
    before_header:
      description: The file, C(packages), or the key.
      type: str
      sample: kernel.yama.ptrace_scope
    after_header:
      description: As RV(diff[].before_header).
      type: str
      sample: kernel.yama.ptrace_scope
    before:
      description: The text before.
      type: str
      sample: "0\n"
    after:
      description: The text after.
      type: str
      sample: "1\n"
log:
  description: The lines of the log, with what was asked of the package manager, by which program and for how long.
  returned: with C(-vvv), unless C(no_log) is set
  type: list
  elements: str
  sample: ["[DEBUG] decide: scope=1 because=\"no debugger is installed\" actions=0"]
warnings:
  description: What an administrator should know besides.
  returned: when there are any
  type: list
  elements: str
'''

from ansible.module_utils.basic import AnsibleModule


def main():
    module = AnsibleModule(
        argument_spec=dict(
            state=dict(type='str', required=True, choices=['auto', 'permissive', 'restricted']),
            restricted_scope=dict(type='int', default=1, choices=[1, 2, 3]),
            exact=dict(type='bool', default=False),
            packages=dict(type='str', default='auto', choices=['auto', 'manage', 'ignore']),
            debuggers=dict(type='list', elements='str', default=[]),
            ignore_debuggers=dict(type='list', elements='str', default=[]),
            catalog=dict(type='path'),
            conflicts=dict(type='str', default='resolve', choices=['resolve', 'report', 'fail']),
            persistent=dict(type='bool', default=True),
            runtime=dict(type='bool', default=True),
            reason=dict(type='str'),
            verify=dict(type='str', default='value', choices=['value', 'attach']),
            yama_missing=dict(type='str', default='fail', choices=['fail', 'ignore']),
            lock_timeout=dict(type='int', default=60),
            root=dict(type='path', default='/'),
            backend=dict(type='str', choices=['dnf5', 'dnf', 'zypper', 'apt', 'pacman', 'apk', 'none']),
            backend_plugin=dict(type='dict', options=dict(
                path=dict(type='path', required=True),
                sha256=dict(type='str', required=True),
            )),
        ),
        supports_check_mode=True,
    )
    module.fail_json(
        msg='hardening.yama.ptrace_scope was started without its action plugin: '
            'plugins/action/ptrace_scope.py is missing from this installation of the collection')


if __name__ == '__main__':
    main()
