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
short_description: Manage the Yama ptrace scope, which limits the processes that a debugger may attach to
version_added: 0.1.0
author:
  - The hardening.yama authors (@hardening-yama)
description:
  - Manages C(kernel.yama.ptrace_scope), the Linux setting that limits which processes a debugger may attach to. It
    manages the value now, after a reboot and after package upgrades.
  - One run manages the enabler (the package whose drop-in sets scope 0), the module's own drop-in, and the value in the
    running kernel together.
  - It then checks the result, and reports each change with its reason. A second run changes nothing.
  - Implements the Fedora Change I(Restrict ptrace by default).
options:
  state:
    description:
      - The access that debuggers of ordinary users get to other processes.
      - V(restricted) denies attaching to processes that the debugger did not start.
      - V(permissive) allows attaching to every process of the same user (scope 0). The module installs the enabler, or
        writes a drop-in if the distribution has no enabler.
      - V(auto) is permissive while a debugger is installed, and restricted otherwise. It respects and reports a local
        administrator's own setting.
    type: str
    required: true
    choices: [auto, permissive, restricted]
  restricted_scope:
    description:
      - The scope that counts as restricted on this host.
      - V(1) denies attaching to processes that the debugger did not start. V(2) allows ptrace only to processes with
        C(CAP_SYS_PTRACE). V(3) forbids ptrace to every process.
      - Only a reboot can undo V(3).
    type: int
    choices: [1, 2, 3]
    default: 1
  exact:
    description:
      - By default the module keeps a stricter value that is already in force, and reports it as RV(stricter_kept).
      - With V(true) the module sets the requested value, even if that loosens the present one.
      - O(state=permissive) always lowers the value.
    type: bool
    default: false
  packages:
    description:
      - V(auto) installs or removes the enabler if the distribution has one and the package manager can do so.
        Otherwise it uses a drop-in or a mask, and warns.
      - V(manage) does the same, but fails instead of using a drop-in or a mask.
      - V(ignore) never installs or removes a package.
    type: str
    choices: [auto, manage, ignore]
    default: auto
  debuggers:
    description:
      - Names of further debuggers for O(state=auto). The module looks for packages with these names, and for programs in
        C(/usr/local/bin), C(/usr/local/sbin) and a few more directories.
      - A name can be a shell pattern such as V(acme-gdb-[1-9]). C(docs/catalog.md) of the collection describes patterns.
    type: list
    elements: str
    default: []
  ignore_debuggers:
    description:
      - Names of debuggers, or of their packages or programs, that O(state=auto) ignores. A name can be a shell pattern such
        as V(gcc-toolset-*).
    type: list
    elements: str
    default: []
  catalog:
    description:
      - A YAML file on the controller. It adds your own distributions and debuggers to those that the module knows.
        C(docs/catalog.md) of the collection describes the format.
      - The file is looked up like the C(src) of M(ansible.builtin.copy). That is in C(files/) of the role, or next to the
        playbook.
    type: path
  conflicts:
    description:
      - The action to take when another file sets the key and takes precedence over this module's drop-in.
      - With O(state=restricted) this also applies to local settings lower than O(restricted_scope) that have no effect,
        because auditors look for them. O(state=auto) respects local settings instead.
      - V(resolve) comments out the line in a local file, and keeps a copy of the original file in
        C(/var/lib/hardening.yama/originals). It never edits a file that a package owns. It masks such a file if the file
        sets nothing else. The module fails if a setting that it cannot resolve takes precedence.
      - V(resolve) replaces a local link that leads out of its C(sysctl.d) directory by a mask, and keeps a copy of the link, if
        the file there sets nothing else. Otherwise it comments out the line in that file, if only root can write the file.
      - V(report) leaves these settings unchanged and warns.
      - V(fail) fails before it changes anything.
    type: str
    choices: [resolve, report, fail]
    default: resolve
  persistent:
    description:
      - Whether to manage the value after the next boot, with packages and drop-ins.
    type: bool
    default: true
  runtime:
    description:
      - Whether to manage the value in the running kernel.
      - The enabler's own scriptlet sets the running value to 0 when the enabler is installed. This option does not
        prevent that.
    type: bool
    default: true
  reason:
    description:
      - The reason for the setting, and the person or team that asks for it. One line of at most 1000 bytes.
      - It is stored in the header of the drop-in, which every user of the host can read.
    type: str
  verify:
    description:
      - The method to check the running value. V(value) reads it back.
      - V(attach) also starts short-lived unprivileged test processes that try to trace each other, and returns RV(proof). As
        root, the module gives them a user ID that no account and no other process has. Check mode starts no such process.
      - The module fails if these processes can do more than the scope allows. It does not undo its changes then, because a
        failed test is no reason to loosen the host.
      - The module warns if these processes can do less, for example under a seccomp filter, or if they could not try. The
        warning names the likely cause.
    type: str
    choices: [value, attach]
    default: value
  yama_missing:
    description:
      - The action to take on a kernel without Yama, which cannot restrict ptrace.
      - V(fail) fails and says how to get Yama.
      - V(ignore) warns and changes nothing.
    type: str
    choices: [fail, ignore]
    default: fail
  lock_timeout:
    description:
      - The number of seconds to wait for another run of this module on the same host, and for a package manager that is
        busy.
    type: int
    default: 60
  root:
    description:
      - The root directory of a mounted tree, for an image that is being built.
      - Only files and packages in that tree are managed, not the running kernel.
      - The host's package manager installs and removes packages in the tree, with an option such as C(--installroot). dnf5, dnf,
        zypper, pacman and apk have such an option. Scriptlets are turned off if the package manager can do that.
      - With apt, or if the host does not have the package manager of the tree, the module uses drop-ins and masks.
      - Only root may have write access to the directories of the tree.
    type: path
    default: /
  backend:
    description:
      - The package manager to use instead of the one that the distribution is known to have.
      - V(none) leaves packages alone. The module still finds debuggers in the package database, if there is one.
    type: str
    choices: [dnf5, dnf, zypper, apt, pacman, apk, none]
  backend_plugin:
    description:
      - A package manager plugin of your own, for hosts whose package manager the module does not know. It is a program
        that speaks the plugin protocol of this collection, and that is already on the host. See C(docs/plugins.md).
      - Tasks with this option use a larger build of the module, which can run plugins.
    type: dict
    suboptions:
      path:
        description:
          - The absolute path of the program. The program and all directories above it must belong to root, must not be
            links, and must not be writable by other users.
        type: path
        required: true
      sha256:
        description:
          - The SHA-256 checksum of the program, in hexadecimal digits. A program with another checksum is not run.
        type: str
        required: true
attributes:
  check_mode:
    description: Can run in check mode and returns the changes that it would make, without writing anything to the host.
    support: full
  diff_mode:
    description: Returns the changes as text before and after. In check mode these are the changes that it would make.
    support: full
  platform:
    description: Runs on Linux. The host needs no Python.
    support: full
    platforms: linux
notes:
  - Needs root on the host, so use C(become). Check mode works for an ordinary user as far as that user can read the files.
  - Manages packages with dnf5, dnf, zypper, apt, pacman or apk. It leaves packages alone on hosts that boot images
    (rpm-ostree, bootc, transactional-update), and on hosts with a read-only C(/usr). There it uses drop-ins and masks in
    C(/etc).
  - Does not refresh the package lists of apt and pacman.
  - The action group C(group/hardening.yama.ptrace) for C(module_defaults) has both modules. It may hold only the options of
    both modules, which are O(debuggers), O(ignore_debuggers), O(catalog) and O(backend_plugin).
  - Writes each run, and each change with its reason, to the system log of the host, as Ansible's own modules do. This
    applies to check mode, too. The fields in the journal begin with C(PTRACE_SCOPE_). Values of options that are free text
    or names are not logged. With C(no_log) or C(no_target_syslog) nothing is logged.
  - The setting belongs to the kernel. A container has the value of its host and cannot change it.
  - The first task on a host sends the program. Root keeps it as C(/var/cache/hardening.yama/ptrace_scope-)I(SHA-256), so
    that each later task is one command. Set the variable C(hardening_yama_cache=false) to turn this cache off.
  - Options, including values from a vault, are passed on the command line of the cached program. Other users of the host
    can see them with C(ps), and sudo logs them. Use C(no_log) or C(no_target_syslog) to prevent this.
seealso:
  - module: hardening.yama.ptrace_scope_info
  - name: Yama in the kernel's administrator guide
    description: The meaning of each value of the scope.
    link: https://docs.kernel.org/admin-guide/LSM/Yama.html
  - name: sysctl.d(5)
    description: The rules by which drop-ins override, mask and follow each other.
    link: https://www.freedesktop.org/software/systemd/man/latest/sysctl.d.html
'''

EXAMPLES = r'''
---
- name: Be permissive while a debugger is installed, and restricted otherwise
  hardening.yama.ptrace_scope:
    state: auto
  become: true

- name: Deny attaching to processes that the debugger did not start
  hardening.yama.ptrace_scope:
    state: restricted
    reason: "Baseline 2026, section 4"
  become: true

- name: Allow ptrace only to root, and lower a stricter value
  hardening.yama.ptrace_scope:
    state: restricted
    restricted_scope: 2
    exact: true
  become: true

- name: Count a debugger of your own, and ignore elfutils, which build tools require
  hardening.yama.ptrace_scope:
    state: auto
    debuggers: [tracelord]
    ignore_debuggers: [elfutils]
  become: true

- name: Allow debuggers on a build host, without changing packages
  hardening.yama.ptrace_scope:
    state: permissive
    packages: ignore
    reason: "CI debugging, asked for by the build team"
  become: true
'''

RETURN = r'''
---
msg:
  description: The outcome in one sentence.
  returned: always
  type: str
  sample: "restricted: kernel.yama.ptrace_scope is 1 now, the next boot sets 1 (2 changes): state=restricted, restricted_scope=1"
state:
  description: The requested state.
  returned: when the arguments are valid
  type: str
  sample: restricted
decision:
  description: The scope that the host should have, and the reason.
  returned: when the host could be observed
  type: dict
  contains:
    scope:
      description: The scope that the host should have.
      type: int
      sample: 1
    because:
      description: The reason, with the evidence.
      type: str
      sample: state=restricted, restricted_scope=1
runtime:
  description: The value in the running kernel. V(null) without Yama. In check mode RV(runtime.after) is a prediction.
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
  description: The value after the next boot. In check mode RV(persistent.after) is a prediction.
  returned: when the host could be observed
  type: dict
  contains:
    before:
      description: Before the run.
      type: dict
      contains: &persistent
        boot:
          description:
            - The value that the next boot sets. systemd-sysctl sets it on most hosts, and a boot script on hosts with OpenRC, runit or
              sysvinit. ufw comes after them.
            - V(null) if no file sets the key, or if it is not known what the boot of this host sets. Then a warning says why.
          type: int
          sample: 1
        boot_source:
          description: The file and line that RV(persistent.before.boot) comes from, or V(null).
          type: str
          sample: /etc/sysctl.d/zz-ptrace_scope.conf:3
        reload:
          description: The value that C(sysctl --system) of procps would set. V(null) if no file sets the key.
          type: int
          sample: 1
        reload_source:
          description: The file and line that RV(persistent.before.reload) comes from, or V(null).
          type: str
          sample: /etc/sysctl.d/zz-ptrace_scope.conf:3
    after:
      description: After the run, with the same keys as RV(persistent.before).
      type: dict
      contains: *persistent
packages:
  description: The package manager, the enabler, and the packages that the run changed.
  returned: when the host could be observed
  type: dict
  contains:
    manager:
      description:
        - The package manager in use. V(none) if the module leaves packages alone on this host.
        - The module recognizes V(rpm-ostree), V(bootc) and V(transactional-update), and never runs them.
      type: str
      sample: dnf5
    read_only:
      description: The reason why no package can be installed or removed on this host, or V(null). One reason is a host that boots images.
      type: str
      sample: null
    enabler:
      description: The installed package whose drop-in sets 0, or V(null).
      type: str
      sample: null
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
  description: The installed tools that attach to processes that they did not start.
  returned: when the host could be observed
  type: list
  elements: dict
  contains:
    name:
      description: The name of the package, or of the program.
      type: str
      sample: strace
    version:
      description: The version of the package. V(null) for a program.
      type: str
      sample: 6.17-1.fc45
    source:
      description: V(package) if the package database has it, V(path) if a program was found.
      type: str
      sample: package
    counts:
      description:
        - Whether O(state=auto) counts it. V(false) if only packages require it that need a debugger for their own work, such
          as C(anaconda-install-env-deps) on a host that was installed from a live image.
        - V(null) if this depends on the packages that require it, and another setting decides, so that the module did not
          ask.
      type: bool
      sample: true
    why:
      description:
        - The reason why it counts or not, if that was in question. Otherwise V(null).
        - M(hardening.yama.ptrace_scope_info) always returns the reason why it is installed.
      type: str
drop_in:
  description: The drop-in of this module that sets the value.
  returned: when the host could be observed
  type: dict
  contains:
    path:
      description: The file, or V(null) if the state needs none.
      type: str
      sample: /etc/sysctl.d/zz-ptrace_scope.conf
    action:
      description: The change to the file. One of V(created), V(replaced), V(removed), V(unchanged) and V(absent).
      type: str
      sample: created
settings:
  description:
    - Every line that sets the key, and whether it takes effect. In check mode this is a prediction.
    - The list has at most 100 lines. The lines that take effect are always in it. A warning counts the other lines.
  returned: when the host could be observed
  type: list
  elements: dict
  contains:
    file:
      description: The file, or C(/proc/cmdline).
      type: str
      sample: /etc/sysctl.d/10-ptrace.conf
    line:
      description: The number of the line.
      type: int
      sample: 1
    value:
      description: The value as it is written.
      type: str
      sample: "1"
    origin:
      description:
        - The owner of the file. V(ours) is a file of this collection. V(vendor) is a file in C(/usr/lib), or an unchanged file of a package.
        - V(local) is any other file.
      type: str
      sample: vendor
    package:
      description: The package that owns the file, for an unchanged file outside of C(/usr/lib). V(null) for all other files.
      type: str
      sample: procps
    standing:
      description: Whether the line takes effect. One of V(effective), V(overridden), V(masked), and V(refused) by the kernel.
      type: str
      sample: overridden
    by:
      description: The file and line that override it, or the file that masks it, or V(null).
      type: str
      sample: /etc/sysctl.d/zz-ptrace_scope.conf:3
    loader:
      description:
        - Which loader this applies to. V(boot) is the program that loads settings at boot, in most cases systemd-sysctl. V(reload) is
          C(sysctl --system), V(both) is both of them. V(ufw) is ufw, which loads its own file after the boot's program.
      type: str
      sample: both
actions:
  description:
    - The changes, in the order they were made. In check mode these are the changes that the module would make.
    - After a failure the list still has the changes that were undone. RV(rolled_back) has them, too.
    - The list has at most 100 edited, masked or removed files. A warning counts the other files.
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
      description: The reason.
      type: str
      sample: state=restricted writes its own line, in a file that overrides all others at boot
rolled_back:
  description: The changes that were undone after a failure, as in RV(actions), in the order they were undone.
  returned: on failure after something was done
  type: list
  elements: dict
  contains: *action
reboot_required:
  description: Whether a reboot is needed to change the running value. This is so if the running value is 3 and another one is wanted.
  returned: when the host could be observed
  type: bool
  sample: false
verified:
  description:
    - Whether the module observed the host again after the last change, and nothing was left to do. With O(verify=attach) the
      results of the test processes must also agree with the scope.
    - V(null) if the test processes could not try, or if the run failed before it could verify.
  returned: when the host could be observed
  type: bool
  sample: true
proof:
  description:
    - The results of the test processes that tried to trace each other. Each is V(allowed), V(denied), or the text of another
      error.
    - V(null) if they could not try. RV(warnings) has the reason.
  returned: with O(verify=attach), if the run got that far
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
      description: Asking the parent process to trace, as C(strace ./program) does.
      type: str
      sample: allowed
stricter_kept:
  description: Whether the module found a value stricter than the requested one, and kept it.
  returned: when the host could be observed
  type: bool
  sample: false
diff:
  description:
    - The changed files, masks, packages and running value, as text before and after.
    - For a large file only the first changed lines are shown, after a line that begins with C(# shortened).
    - If many files change, the last element counts the other files.
  returned: in diff mode
  type: list
  elements: dict
  contains:
    before_header:
      description: The file, C(packages), or the key.
      type: str
      sample: kernel.yama.ptrace_scope
    after_header:
      description: The same as RV(diff[].before_header).
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
  description: The lines of the log. They include each question to the package manager, with the program and the time it took.
  returned: with C(-vvv), unless C(no_log) is set
  type: list
  elements: str
  sample: ["[DEBUG] decide: scope=1 because=\"state=restricted, restricted_scope=1\" actions=2"]
warnings:
  description: Problems that did not make the task fail.
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
