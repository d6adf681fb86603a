package listening

import (
	"runtime"
	"sync"

	"github.com/consensys/gnark-crypto/ecc/bn254/fr"
)

// Record is what the platform knows of a listener in a period.
type Record struct {
	Member  Field  `json:"member"`
	Seconds uint32 `json:"seconds"`
}

// Tree holds the leaves of a period. Leaves beyond the last one are zero, of which nobody knows a record.
type Tree struct {
	levels [Depth + 1][]fr.Element // from the leaves up; only the part that is not all empty
}

// emptyAt is the root of an empty tree of each height.
var emptyAt = func() (roots [Depth + 1]fr.Element) {
	for level := range Depth {
		roots[level+1] = hashNode.of(roots[level], roots[level])
	}
	return roots
}()

// LeavesOf returns the leaves of records, in their order. A member may have one record.
func LeavesOf(records []Record) ([]Field, error) {
	first := make(map[Field]int, len(records))
	for index, record := range records {
		if before, known := first[record.Member]; known {
			return nil, refuse("duplicate-member", "records %d and %d are both of member %s", before, index, record.Member)
		}
		first[record.Member] = index
	}
	leaves := make([]Field, len(records))
	inParallel(len(records), func(i int) { leaves[i] = Leaf(records[i].Member, records[i].Seconds) })
	return leaves, nil
}

// NewTree builds a tree over leaves.
func NewTree(leaves []Field) (*Tree, error) {
	if len(leaves) == 0 || len(leaves) > Capacity {
		return nil, refuse("malformed", "expected 1 to %d records, got %d", Capacity, len(leaves))
	}
	tree := new(Tree)
	tree.levels[0] = make([]fr.Element, len(leaves))
	for index, leaf := range leaves {
		tree.levels[0][index] = leaf.Element
	}
	for level := range Depth {
		below := tree.levels[level]
		above := make([]fr.Element, (len(below)+1)/2)
		inParallel(len(above), func(i int) {
			right := emptyAt[level]
			if 2*i+1 < len(below) {
				right = below[2*i+1]
			}
			above[i] = hashNode.of(below[2*i], right)
		})
		tree.levels[level+1] = above
	}
	return tree, nil
}

// Root of the tree.
func (t *Tree) Root() Field { return Field{t.levels[Depth][0]} }

// Path returns the siblings on the way from a leaf to the root.
func (t *Tree) Path(index int) (path [Depth]Field) {
	for level := range Depth {
		path[level] = Field{emptyAt[level]}
		if sibling := index ^ 1; sibling < len(t.levels[level]) {
			path[level] = Field{t.levels[level][sibling]}
		}
		index >>= 1
	}
	return path
}

// Find returns the index of a leaf.
func (t *Tree) Find(leaf Field) (int, bool) {
	for index, each := range t.levels[0] {
		if each == leaf.Element {
			return index, true
		}
	}
	return 0, false
}

// inParallel calls work for 0 to n - 1.
func inParallel(n int, work func(i int)) {
	workers := min(runtime.NumCPU(), n/256+1)
	var group sync.WaitGroup
	for worker := range workers {
		group.Add(1)
		go func() {
			defer group.Done()
			for i := worker * n / workers; i < (worker+1)*n/workers; i++ {
				work(i)
			}
		}()
	}
	group.Wait()
}
