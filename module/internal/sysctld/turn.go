// SPDX-License-Identifier: GPL-3.0-or-later

package sysctld

// BootInTurn hands over what Boot returns. Where goes says that this setting is taken out of the
// tree, it hands over what Boot would return then, and so on, until one stays or none is left.
func (t Tree) BootInTurn(goes func(Setting) bool) { inTurn(t.bootRuns(), goes) }

// ReloadInTurn is BootInTurn for what Reload returns.
func (t Tree) ReloadInTurn(goes func(Setting) bool) { inTurn([]run{t.reloadRun()}, goes) }

// turns are the settings of a run that are still there. A setting is a list of lines, of which the
// last one counts, whose turn is that of the first before it that say the same.
type turns struct {
	run
	from      int // the turn of the first line
	queue     *queue
	settings  [][]int
	settingOf []int
	named     map[string]int
	excluded  func(*spelling) bool
	waiting   map[string][]int // settings by patterns, until no line names the path
}

// enter lets all settings of a run wait for their turn.
func (r run) enter(from int, q *queue) *turns {
	t := &turns{run: r, from: from, queue: q, settingOf: make([]int, len(r.lines)), waiting: map[string][]int{}}
	t.named, t.excluded = namesOf(r.lines)
	if r.merges {
		t.excluded = func(*spelling) bool { return false }
	}
	at := map[string]int{}
	for i, l := range r.lines {
		s, said := at[l.name]
		if !said || !r.merges {
			s = len(t.settings)
			t.settings = append(t.settings, nil)
			at[l.name] = s
		}
		t.settings[s] = append(t.settings[s], i)
		t.settingOf[i] = s
	}
	for s := range t.settings {
		t.enter(s)
	}
	return t
}

// enter lets a setting wait for its turn.
func (t *turns) enter(s int) {
	first := len(t.settings[s]) - 1
	if first < 0 {
		return
	}
	last := t.lines[t.settings[s][first]]
	switch {
	case last.exclude || last.pattern && t.excluded(last.spelling):
	case last.pattern && t.named[last.target] > 0:
		t.waiting[last.target] = append(t.waiting[last.target], s)
	default:
		for first > 0 && t.lines[t.settings[s][first-1]].saysAs(last) {
			first--
		}
		t.queue.push(t.from+t.settings[s][first], last)
	}
}

// take hands over the lines of the setting whose turn it is, the last one first, and tells whether
// all of them go.
func (t *turns) take(turn int, goes func(Setting) bool) bool {
	s := t.settingOf[turn]
	for n := len(t.settings[s]) - 1; n >= 0 && t.settings[s][n] >= turn; n-- {
		l := t.lines[t.settings[s][n]]
		if !goes(l.setting()) {
			return false
		}
		t.settings[s] = t.settings[s][:n]
		if t.named != nil && !l.pattern {
			t.named[l.name]--
		}
	}
	t.enter(s)
	if name := t.lines[turn].name; t.named[name] == 0 {
		for _, s := range t.waiting[name] {
			t.enter(s)
		}
		delete(t.waiting, name)
	}
	return true
}

// stays returns what programs leave in the kernel that run one after the other, and false where
// they set nothing.
func stays(runs []run) (left Setting, ok bool) {
	inTurn(runs, func(s Setting) bool {
		left, ok = s, true
		return false
	})
	return left, ok
}

// inTurn hands over the lines of programs that run one after the other, as they stay in turn.
func inTurn(runs []run, goes func(Setting) bool) {
	q := &queue{}
	for _, r := range runs {
		q.count += len(r.lines)
	}
	all := make([]*turns, 0, len(runs))
	from := 0
	for _, r := range runs {
		all = append(all, r.enter(from, q))
		from += len(r.lines)
	}
	for turn, ok := q.pop(); ok; turn, ok = q.pop() {
		i := len(all) - 1
		for all[i].from > turn {
			i--
		}
		if !all[i].take(turn-all[i].from, goes) {
			return
		}
	}
}

// saysAs tells whether a line says the same of its name as another one of that name.
func (s said) saysAs(other said) bool { return s.value == other.value && s.exclude == other.exclude }

// queue has the writes that the kernel accepts, the one first that stays in the end: the last one,
// unless one sets 3, which stays until the next boot. It is a heap.
type queue struct {
	count int
	turns []int // from count on, those that set 3
}

// push adds the write of a line, if the kernel accepts it.
func (q *queue) push(turn int, l said) {
	switch l.scope {
	case refused:
		return
	case maximum:
		turn += q.count
	}
	q.turns = append(q.turns, turn)
	for i := len(q.turns) - 1; i > 0 && q.turns[i] > q.turns[(i-1)/2]; i = (i - 1) / 2 {
		q.swap(i, (i-1)/2)
	}
}

// pop takes the first one out.
func (q *queue) pop() (turn int, ok bool) {
	last := len(q.turns) - 1
	if last < 0 {
		return 0, false
	}
	q.swap(0, last)
	turn, q.turns = q.turns[last], q.turns[:last]
	for i := 0; ; {
		next := 2*i + 1
		if next+1 < last && q.turns[next+1] > q.turns[next] {
			next++
		}
		if next >= last || q.turns[i] >= q.turns[next] {
			return turn % q.count, true
		}
		q.swap(i, next)
		i = next
	}
}

func (q *queue) swap(i, j int) { q.turns[i], q.turns[j] = q.turns[j], q.turns[i] }
