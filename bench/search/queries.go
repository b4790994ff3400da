package main

import (
	"context"
	"fmt"
	"math/rand"
	"slices"
	"strings"
	"time"

	"github.com/quicproquo/qpq/client"
	"github.com/quicproquo/qpq/internal/history"
)

// kind is a kind of query, and how one of them is made. Its languages are those of the corpus: English first, Chinese sixth.
type kind struct {
	name   string
	make   func(r *rand.Rand, c *history.Corpus) string
	ranked bool
}

// word is a word of a language, of those with ranks from the first to the last.
func word(r *rand.Rand, c *history.Corpus, language, first, last int) string {
	return c.Languages[language].Words[first+r.Intn(last-first)]
}

// part is a part of a word, of some letters.
func part(r *rand.Rand, word string, n int) string {
	letters := []rune(word)
	if len(letters) <= n {
		return word
	}
	at := r.Intn(len(letters) - n + 1)
	return string(letters[at : at+n])
}

const (
	english, german, chinese = 0, 1, 5
	frequent, rare, last     = 60, 20000, 60000
)

var kinds = []kind{
	{"a rare word", func(r *rand.Rand, c *history.Corpus) string { return word(r, c, r.Intn(5), rare, last) }, false},
	{"a word of the middle", func(r *rand.Rand, c *history.Corpus) string { return word(r, c, r.Intn(5), 200, 5000) }, false},
	{"a frequent word", func(r *rand.Rand, c *history.Corpus) string { return word(r, c, r.Intn(5), 0, frequent) }, false},
	{"a frequent word, ranked", func(r *rand.Rand, c *history.Corpus) string { return word(r, c, english, 0, frequent) }, true},
	{"three letters of a word", func(r *rand.Rand, c *history.Corpus) string { return part(r, word(r, c, r.Intn(5), 0, last), 3) }, false},
	{"five letters of a rare word", func(r *rand.Rand, c *history.Corpus) string { return part(r, word(r, c, r.Intn(5), rare, last), 5) }, false},
	{"two letters that begin a word", func(r *rand.Rand, c *history.Corpus) string {
		return string([]rune(word(r, c, r.Intn(5), 0, last))[:2])
	}, false},
	{"a frequent and a rare word", func(r *rand.Rand, c *history.Corpus) string {
		return word(r, c, english, 0, frequent) + " " + word(r, c, english, rare, last)
	}, false},
	{"two words of the middle", func(r *rand.Rand, c *history.Corpus) string {
		return word(r, c, english, 200, 5000) + " " + word(r, c, english, 200, 5000)
	}, false},
	{"two frequent words of different languages", func(r *rand.Rand, c *history.Corpus) string {
		return word(r, c, english, 0, frequent) + " " + word(r, c, german, 0, frequent)
	}, false},
	{"a phrase of two frequent words", func(r *rand.Rand, c *history.Corpus) string {
		return `"` + word(r, c, english, 0, frequent) + " " + word(r, c, english, 0, frequent) + `"`
	}, false},
	{"what nobody said, of frequent letters", func(r *rand.Rand, c *history.Corpus) string {
		s := strings.Fields(history.Syllables["en"])
		return s[r.Intn(10)] + s[r.Intn(10)] + s[r.Intn(10)] + s[r.Intn(10)] + s[r.Intn(10)] + s[r.Intn(10)]
	}, false},
	{"a Chinese letter", func(r *rand.Rand, c *history.Corpus) string { return word(r, c, chinese, 0, 3500) }, false},
	{"two Chinese letters", func(r *rand.Rand, c *history.Corpus) string {
		return word(r, c, chinese, 0, 300) + word(r, c, chinese, 0, 300)
	}, false},
	{"three Chinese letters", func(r *rand.Rand, c *history.Corpus) string {
		return word(r, c, chinese, 0, 100) + word(r, c, chinese, 0, 100) + word(r, c, chinese, 0, 100)
	}, false},
	{"a frequent word in a small conversation", func(r *rand.Rand, c *history.Corpus) string {
		return fmt.Sprintf("%s in:talk%d", word(r, c, english, 0, frequent), conversations/2+r.Intn(conversations/2))
	}, false},
	{"a frequent word of a person who says little", func(r *rand.Rand, c *history.Corpus) string {
		return fmt.Sprintf("%s from:person%d", word(r, c, english, 0, frequent), people/2+r.Intn(people/2))
	}, false},
	{"a word of the middle with both", func(r *rand.Rand, c *history.Corpus) string {
		return fmt.Sprintf("%s in:talk%d from:person%d", word(r, c, english, 200, 5000), r.Intn(conversations), r.Intn(people))
	}, false},
	{"a frequent word before a day, of a file", func(r *rand.Rand, c *history.Corpus) string {
		return fmt.Sprintf("%s has:file before:%s", word(r, c, english, 0, frequent), day(r))
	}, false},
	{"a rare word on a day", func(r *rand.Rand, c *history.Corpus) string {
		return word(r, c, r.Intn(5), rare, last) + " on:" + day(r)
	}, false},
	{"links of a person on a day", func(r *rand.Rand, c *history.Corpus) string {
		return fmt.Sprintf("has:link from:person%d on:%s", r.Intn(people), day(r))
	}, false},
}

func day(r *rand.Rand) string { return history.Began.AddDate(0, 0, r.Intn(1000)).Format(time.DateOnly) }

// queries asks for each kind many times, in an order by chance, and prints how long they took.
func queries(c *client.Client, each int, seed int64) error {
	words, r := history.NewCorpus(seed), rand.New(rand.NewSource(seed+1))
	type result struct {
		took  time.Duration
		cpu   time.Duration
		hits  int
		more  bool
		query string
	}
	results := make([][]result, len(kinds))
	order := r.Perm(each * len(kinds))
	for _, i := range order {
		k := kinds[i%len(kinds)]
		q := client.Query{Text: k.make(r, words), Ranked: k.ranked}
		begin, used := time.Now(), cpu()
		hits, next, err := c.Search(context.Background(), q)
		if err != nil {
			return fmt.Errorf("%s: %w", q.Text, err)
		}
		results[i%len(kinds)] = append(results[i%len(kinds)], result{time.Since(begin), cpu() - used, len(hits), next != 0 && len(hits) < 20, q.Text})
	}
	fmt.Println("| | hits of at most 20 | CPU p50 | CPU p99 | p50 | p99 | what took longest |\n|---|--:|--:|--:|--:|--:|---|")
	var all, used []time.Duration
	for i, k := range kinds {
		list := results[i]
		var took, cpus []time.Duration
		hits, more := 0, 0
		for _, x := range list {
			took, cpus = append(took, x.took), append(cpus, x.cpu)
			hits += x.hits
			if x.more {
				more++
			}
		}
		all, used = append(all, took...), append(used, cpus...)
		worst := slices.MaxFunc(list, func(a, b result) int { return int(a.cpu - b.cpu) })
		fmt.Printf("| %s | %.1f | %s | %s | `%s`", k.name, float64(hits)/float64(len(list)), percentiles(cpus), percentiles(took), worst.query)
		if more > 0 {
			fmt.Printf("; %d of %d go on", more, len(list))
		}
		fmt.Println(" |")
	}
	fmt.Printf("| all | | %s | %s | |\n", percentiles(used), percentiles(all))
	return nil
}

// percentiles returns the 50th and the 99th, in milliseconds.
func percentiles(list []time.Duration) string {
	slices.Sort(list)
	return fmt.Sprintf("%.1f | %.1f", ms(list[len(list)/2]), ms(list[len(list)*99/100]))
}
