// Package history fills profiles with messages as people write them, for measuring what many of them cost.
package history

import (
	"math/rand"
	"strings"
)

// Corpus makes messages as people write them: words of several languages, each with a few that come all the time and many that come
// hardly ever (Zipf).
type Corpus struct {
	Languages []Language // English first, German second, Chinese sixth
	rand      *rand.Rand
}

// Language is one of a Corpus.
type Language struct {
	Words []string // those that come most first
	share int      // of a hundred messages
	space string
	rank  *rand.Zipf
}

var common = map[string]string{
	"en": "the to and you a of i that it is in for on we have was not be are this with at my me so but can will do if they what just your or no know get like when out up there think about from one go time would how good see some make want could them well been our then need more now people really way right work going here back has did who he she as an by all yes ok thanks tomorrow today meeting please",
	"de": "die der und ich das ist nicht in wir zu es sie ein auf mit den von dass für an du so hat war auch aber dem mir wie noch nur haben oder sich aus bei nach wenn kann dann habe werden mal schon heute morgen ja nein gut danke bitte was wo eine einen sind da im um über keine immer mehr hier jetzt muss doch vielleicht natürlich",
	"fr": "de je la le et les est pas à que un il des en pour une on ce tu qui ne dans vous sur avec mais plus c'est au nous bien ça j'ai si me fait tout moi y être elle comme oui non merci demain aujourd'hui très où quand même parce voilà été déjà après à peut faire dire",
	"ru": "и в не на я что с это как а у он но по мы за так то же все вы бы мне ты да из есть его для уже нет если или когда только очень был еще можно может тебя меня там тут потом сегодня завтра спасибо хорошо нужно надо было",
	"es": "de que no a la el y en lo un por es me se los con una mi para si las su te al del como pero más ya todo esta le muy eso bien yo sí cuando qué hay ahora gracias mañana hoy está aquí también nada vamos puede hacer tiene",
}

// Syllables are what rare words of languages are made of.
var Syllables = map[string]string{
	"en": "ing er an re on at en tion st ter th com per con pro ment ly ed es ar in it al ic ent ist un over out work hand land light ship ness ful able ous ive ate ish",
	"de": "ge be ver er en ung lich keit schaft auf ab ein zu wer ben gen ten ren sch ach och hei ber tag zeit haus wagen stra bahn ver ent miss über für grö mög",
	"fr": "re dé con ment tion er é ai eau ou in on an ble que ter vers par sou mont ch elle ette ique ance ence ère ées pré tra for ci ça bou vou",
	"ru": "пре по на ни то ра ко ров ска сто ния ция ель ник ать ить ого ему при вод лет дом раз бор ход мир стро зна гов дел пра",
	"es": "ción do ra re con des par ta mi en ca cion lla ñe do res mente idad or ar er ir es ter man pos tra bla gue qui ven",
}

// NewCorpus returns a corpus, which is the same for the same seed.
func NewCorpus(seed int64) *Corpus {
	c := &Corpus{rand: rand.New(rand.NewSource(seed))}
	for _, l := range []struct {
		name  string
		share int
	}{{"en", 45}, {"de", 20}, {"fr", 8}, {"ru", 8}, {"es", 7}} {
		words := strings.Fields(common[l.name])
		parts := strings.Fields(Syllables[l.name])
		for len(words) < 60000 {
			var w strings.Builder
			for range 2 + c.rand.Intn(3) {
				w.WriteString(parts[c.rand.Intn(len(parts))])
			}
			words = append(words, w.String())
		}
		c.Languages = append(c.Languages, Language{words, l.share, " ", rand.NewZipf(c.rand, 1.08, 2.7, uint64(len(words)-1))})
	}
	c.Languages = append(c.Languages, c.letters(5, 0x4E00, 3500), c.letters(4, 0x3041, 86), c.letters(3, 0xAC00, 2350))
	return c
}

// letters makes a language whose messages are letters in a row.
func (c *Corpus) letters(share int, first rune, n int) Language {
	words := make([]string, n)
	for i, j := range c.rand.Perm(n) {
		words[i] = string(first + rune(j))
	}
	return Language{words, share, "", rand.NewZipf(c.rand, 1.1, 8, uint64(n-1))}
}

// Message returns the next message: most of them short, a few long.
func (c *Corpus) Message() string {
	at := c.rand.Intn(100)
	for i := range c.Languages {
		l := &c.Languages[i]
		if at -= l.share; at < 0 {
			return c.words(l)
		}
	}
	panic("shares are not a hundred")
}

func (c *Corpus) words(l *Language) string {
	var b strings.Builder
	n := 1 + int(c.rand.ExpFloat64()*13)
	for i := range min(n, 120) {
		if i > 0 {
			b.WriteString(l.space)
		}
		b.WriteString(l.Words[l.rank.Uint64()])
		if c.rand.Intn(9) == 0 && i+1 < n {
			b.WriteString([]string{",", ".", "?", "!", ":"}[c.rand.Intn(5)])
		}
	}
	return b.String()
}
