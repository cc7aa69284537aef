// SPDX-License-Identifier: GPL-3.0-or-later

package sysctld

// BootInTurn hands over what Boot returns. Where goes says that this setting is taken out of the tree, it hands over what
// Boot would return then, and so on, until one stays or none is left.
func (t Tree) BootInTurn(goes func(Setting) bool) {
	kernel, lines := t.bootLines()
	lines = append(kernel, lines...)
	// A name has one setting, the last one said.
	var settings [][]int
	at := map[string]int{}
	for i, l := range lines {
		s, said := at[l.name]
		if !said || i < len(kernel) {
			s = len(settings)
			settings = append(settings, nil)
			at[l.name] = s
		}
		settings[s] = append(settings[s], i)
	}
	named, _ := namesOf(lines)
	inTurn(lines, settings, named, func(*spelling) bool { return false }, goes)
}

// ReloadInTurn is BootInTurn for what Reload returns.
func (t Tree) ReloadInTurn(goes func(Setting) bool) {
	lines := t.reloadLines()
	settings, each := make([][]int, len(lines)), make([]int, len(lines))
	for i := range lines {
		each[i] = i
		settings[i] = each[i : i+1]
	}
	named, excluded := namesOf(lines)
	inTurn(lines, settings, named, excluded, goes)
}

// inTurn hands over the lines that stay in turn. The settings are lists of lines, of each of which the last line counts, whose
// turn is that of the first before it that say the same.
func inTurn(lines []said, settings [][]int, named map[string]int, excluded func(*spelling) bool, goes func(Setting) bool) {
	q := queue{count: len(lines)}
	settingOf := make([]int, len(lines))
	waiting := map[string][]int{} // settings by patterns, until no line names the path
	enter := func(s int) {
		first := len(settings[s]) - 1
		if first < 0 {
			return
		}
		last := lines[settings[s][first]]
		switch {
		case last.exclude || last.pattern && excluded(last.spelling):
		case last.pattern && named[last.target] > 0:
			waiting[last.target] = append(waiting[last.target], s)
		default:
			for first > 0 && lines[settings[s][first-1]].saysAs(last) {
				first--
			}
			q.push(settings[s][first], last)
		}
	}
	for s, own := range settings {
		for _, i := range own {
			settingOf[i] = s
		}
		enter(s)
	}
	for turn, ok := q.pop(); ok; turn, ok = q.pop() {
		s := settingOf[turn]
		for n := len(settings[s]) - 1; n >= 0 && settings[s][n] >= turn; n-- {
			l := lines[settings[s][n]]
			if !goes(l.setting()) {
				return
			}
			settings[s] = settings[s][:n]
			if named != nil && !l.pattern {
				named[l.name]--
			}
		}
		enter(s)
		if name := lines[turn].name; named[name] == 0 {
			for _, s := range waiting[name] {
				enter(s)
			}
			delete(waiting, name)
		}
	}
}

// saysAs tells whether a line says the same of its name as another one of that name.
func (s said) saysAs(other said) bool { return s.value == other.value && s.exclude == other.exclude }

// queue has the writes that the kernel accepts, the one first that stays in the end: the last one, unless one sets 3, which
// stays until the next boot. It is a heap.
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
