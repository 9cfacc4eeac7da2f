package oci

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/google/go-containerregistry/pkg/name"

	"github.com/seed-161fc314/assay/internal/domain/subject"
)

// errLost says that somebody else wrote a tag between our read and our write.
var errLost = errors.New("another writer was faster")

// revision is what a tag should hold next.
type revision struct {
	mediaType string
	content   []byte
	// before is what it is based on, zero where the tag is not there.
	before subject.Digest
	// done says that the tag holds what it should.
	done bool
}

const (
	// updateTries is how often a tag is read for one change.
	updateTries = 64
	// settling is the shortest time that a tag must have held still, where
	// nothing else keeps writers apart.
	settling = 300 * time.Millisecond
	// windows is how many times the longest time from our own reading to the
	// end of our own writing it must have held still.
	windows = 5
	// sightings is how often in a row an entry must be there, that far apart,
	// while others go on writing.
	sightings = 8
	// stumbles is how often a registry may fail while a tag is changed.
	stumbles = 6
	// longestPause bounds one pause.
	longestPause = 20 * time.Second
)

// update changes what a tag holds, and loses nothing that others put there in
// the meantime. change reads the tag, and says what should be there next.
//
// Where the registry honours conditional writes, a write that is not based on
// what is there is refused, and made anew. The first write to a registry has a
// condition that cannot hold, to find that out.
//
// Where it ignores them, which most do, a writer who read before our write and
// writes after it destroys our entry. So the tag is looked at again, after a
// pause of several times what our own reading and writing took, until it held
// still for that long with our entry in it; an entry that is gone is written
// again, after a pause by chance. Any number of writers who do the same lose
// nothing, as long as none of them takes more than that many times longer than
// the others for its own reading and writing. A writer that does not look
// again, as cosign, may still lose its own entry to ours; and it may destroy
// ours if it takes longer than our pause from reading to writing.
func (c *Client) update(ctx context.Context, repo name.Repository, tag string, change func(context.Context) (revision, error)) error {
	lock := c.lockOf(repo, tag)
	u := &updating{client: c, repo: repo, tag: tag, change: change, spread: 20 * time.Millisecond}
	for range updateTries {
		lock.Lock()
		pause, done, err := u.step(ctx)
		lock.Unlock()
		if err != nil || done {
			return err
		}
		if err := sleep(ctx, pause); err != nil {
			return err
		}
	}
	return fmt.Errorf("%s:%s is written by others all the time; gave up after %d tries", repo, tag, updateTries)
}

// updating is a change on its way.
type updating struct {
	client *Client
	repo   name.Repository
	tag    string
	change func(context.Context) (revision, error)

	longest, latest, spread time.Duration
	// loose says that what was written may be written over; seen how often in
	// a row it was there, last what the tag held then.
	loose bool
	seen  int
	last  subject.Digest
	// refused is what a conditional write was based on that was refused, for
	// the count-th time.
	refused  subject.Digest
	count    int
	stumbles int
}

// step reads the tag once and writes it if need be. It gives how long to wait
// before the next step, unless all is done.
func (u *updating) step(ctx context.Context) (pause time.Duration, done bool, err error) {
	begin := time.Now()
	next, err := u.change(ctx)
	switch {
	case err != nil && mayPass(err) && u.stumbles < stumbles:
		// Some registries answer 500 while another writer sets the tag.
		u.stumbles++
		return u.scatter(), false, nil
	case err != nil:
		return 0, false, err
	case next.done && (!u.loose || u.seen > 0 && next.before == u.last || u.seen >= sightings):
		return 0, true, nil
	case next.done:
		u.seen, u.last = u.seen+1, next.before
		return u.settle(), false, nil
	case u.seen > 0:
		u.seen = 0
		return u.scatter(), false, nil
	}
	sure, err := u.write(ctx, next)
	u.latest = time.Since(begin)
	u.longest = max(u.longest, u.latest)
	switch {
	case errors.Is(err, errLost):
		return u.scatter(), false, nil
	case err != nil && mayPass(err) && u.stumbles < stumbles:
		// It may have been written, or may be yet.
		u.stumbles, u.loose = u.stumbles+1, true
		return u.scatter(), false, nil
	case err != nil:
		return 0, false, err
	case sure:
		u.loose = false
		return 0, false, nil
	}
	u.loose, u.seen, u.last = true, 1, subject.Of(next.content)
	return u.settle(), false, nil
}

// settle is how long the tag must hold still.
func (u *updating) settle() time.Duration {
	pause := max(settling, windows*u.longest)
	return min(longestPause, pause+time.Duration(rand.Int64N(int64(pause)/4)))
}

// scatter is a pause by chance, of which the next may be twice as long.
func (u *updating) scatter() time.Duration {
	u.spread = max(u.spread, u.latest)
	pause := time.Duration(rand.Int64N(int64(u.spread)))
	u.spread = min(2*u.spread, max(100*time.Millisecond, 32*u.latest), longestPause)
	return pause
}

// impossible is the condition that holds for no tag.
var impossible = subject.Of(nil)

// write writes the tag on the condition that it is what the revision is based
// on. sure says that nobody can have been in between.
func (u *updating) write(ctx context.Context, next revision) (sure bool, err error) {
	c, condition := u.client, "*"
	if !next.before.IsZero() {
		condition = next.before.String()
	}
	put := func(condition string) error {
		_, err := c.putManifest(ctx, u.repo, u.tag, next.mediaType, next.content, condition)
		return err
	}
	var known, created conditions
	c.know(u.repo, func(h *host) { known, created = h.conditions, h.created })
	if known == unknown {
		switch err := put(impossible.String()); {
		case err == nil:
			c.know(u.repo, func(h *host) { h.conditions = ignored })
			return false, nil
		case !errors.Is(err, errLost):
			return false, err
		}
		c.know(u.repo, func(h *host) { h.conditions = honoured })
		known = honoured
	}
	if known == misread {
		return false, put("")
	}
	err = put(condition)
	if errors.Is(err, errLost) {
		u.lost(next.before, condition)
		return false, err
	}
	if err != nil || known != honoured || condition != "*" {
		return known == honoured, err
	}
	if created == unknown {
		created = u.creates(ctx, next)
	}
	return created == honoured, nil
}

// creates finds out whether a registry that knows If-Match knows
// If-None-Match too: what was just stored is put once more under its digest,
// on the condition that it is not there.
func (u *updating) creates(ctx context.Context, next revision) conditions {
	found := ignored
	_, err := u.client.putManifest(ctx, u.repo, subject.Of(next.content).String(), next.mediaType, next.content, "*")
	if errors.Is(err, errLost) {
		found = honoured
	}
	u.client.know(u.repo, func(h *host) { h.created = found })
	return found
}

// lost counts refusals. One that is refused again and again although nothing
// changed was refused for another reason, and conditions mean nothing there.
func (u *updating) lost(before subject.Digest, condition string) {
	if u.count > 0 && before == u.refused {
		u.count++
	} else {
		u.refused, u.count = before, 1
	}
	u.client.know(u.repo, func(h *host) {
		if u.count >= 4 {
			h.conditions = misread
		} else if condition == "*" {
			h.created = honoured
		}
	})
}

func (c *Client) lockOf(repo name.Repository, tag string) *sync.Mutex {
	c.mutex.Lock()
	defer c.mutex.Unlock()
	key := repo.Name() + ":" + tag
	if c.tagLock[key] == nil {
		c.tagLock[key] = &sync.Mutex{}
	}
	return c.tagLock[key]
}
