package tui

import (
	"strings"
)

// emoji is one with its name.
type emoji struct{ name, text string }

// emojis are those that can be written by their names.
var emojis = read(`smile 😄; grin 😁; joy 😂; rofl 🤣; smiley 😃; laughing 😆; sweat_smile 😅; wink 😉; blush 😊; yum 😋; sunglasses 😎; heart_eyes 😍; kiss 😘; thinking 🤔;
neutral 😐; expressionless 😑; unamused 😒; roll_eyes 🙄; smirk 😏; relieved 😌; pensive 😔; sleepy 😪; sleeping 😴; mask 😷; sick 🤒; confused 😕;
worried 😟; slight_smile 🙂; upside_down 🙃; frown ☹️; astonished 😲; flushed 😳; pleading 🥺; fearful 😨; sad 😢; cry 😭; scream 😱; disappointed 😞;
tired 😫; angry 😠; rage 😡; devil 😈; skull 💀; poop 💩; clown 🤡; ghost 👻; alien 👽; robot 🤖; shush 🤫; hug 🤗; party 🥳; mind_blown 🤯; shrug 🤷;
facepalm 🤦; wave 👋; ok_hand 👌; pinch 🤏; victory ✌️; crossed_fingers 🤞; horns 🤘; point_left 👈; point_right 👉; point_up 👆; point_down 👇;
thumbs_up 👍; +1 👍; thumbs_down 👎; -1 👎; fist ✊; punch 👊; clap 👏; raised_hands 🙌; open_hands 👐; handshake 🤝; pray 🙏; writing ✍️; muscle 💪;
eyes 👀; eye 👁️; brain 🧠; baby 👶; person 🧑; woman 👩; man 👨; dog 🐶; cat 🐱; mouse 🐭; rabbit 🐰; fox 🦊; bear 🐻; panda 🐼; tiger 🐯; lion 🦁; cow 🐮;
pig 🐷; frog 🐸; monkey 🐵; chicken 🐔; penguin 🐧; bird 🐦; duck 🦆; owl 🦉; horse 🐴; unicorn 🦄; bee 🐝; bug 🐛; butterfly 🦋; snail 🐌; turtle 🐢;
snake 🐍; octopus 🐙; crab 🦀; fish 🐟; whale 🐳; dolphin 🐬; bouquet 💐; cherry_blossom 🌸; rose 🌹; sunflower 🌻; tulip 🌷; seedling 🌱; tree 🌳;
palm 🌴; cactus 🌵; herb 🌿; clover 🍀; leaves 🍂; mushroom 🍄; earth 🌍; moon 🌙; sun ☀️; star ⭐; sparkles ✨; zap ⚡; fire 🔥; boom 💥; cloud ☁️;
rain 🌧️; rainbow 🌈; snow ❄️; snowman ⛄; water 💧; ocean 🌊; apple 🍎; banana 🍌; grapes 🍇; strawberry 🍓; lemon 🍋; peach 🍑; tomato 🍅; avocado 🥑;
bread 🍞; cheese 🧀; burger 🍔; fries 🍟; pizza 🍕; taco 🌮; sushi 🍣; noodles 🍜; egg 🥚; cookie 🍪; cake 🍰; birthday 🎂; chocolate 🍫; candy 🍬;
honey 🍯; coffee ☕; tea 🍵; beer 🍺; wine 🍷; cocktail 🍸; champagne 🍾; cheers 🥂; soccer ⚽; basketball 🏀; tennis 🎾; chess ♟️; dart 🎯; dice 🎲;
game 🎮; trophy 🏆; medal 🏅; art 🎨; music 🎵; guitar 🎸; headphones 🎧; microphone 🎤; movie 🎬; ticket 🎫; car 🚗; bus 🚌; train 🚆; bike 🚲; plane ✈️;
rocket 🚀; ship 🚢; anchor ⚓; house 🏠; office 🏢; hospital 🏥; school 🏫; tent ⛺; mountain ⛰️; beach 🏖️; watch ⌚; phone 📱; laptop 💻; keyboard ⌨️;
printer 🖨️; camera 📷; tv 📺; radio 📻; bulb 💡; flashlight 🔦; battery 🔋; plug 🔌; money 💰; dollar 💵; euro 💶; gem 💎; wrench 🔧; hammer 🔨; gear ⚙️;
tools 🛠️; bomb 💣; knife 🔪; shield 🛡️; key 🔑; lock 🔒; unlock 🔓; bell 🔔; no_bell 🔕; mail 📧; envelope ✉️; package 📦; inbox 📥; outbox 📤; memo 📝;
book 📖; books 📚; calendar 📅; chart 📈; clipboard 📋; pin 📌; paperclip 📎; scissors ✂️; trash 🗑️; folder 📁; hourglass ⏳; alarm ⏰; gift 🎁;
balloon 🎈; tada 🎉; confetti 🎊; heart ❤️; orange_heart 🧡; yellow_heart 💛; green_heart 💚; blue_heart 💙; purple_heart 💜; black_heart 🖤;
white_heart 🤍; broken_heart 💔; two_hearts 💕; hundred 💯; check ✅; cross ❌; question ❓; exclamation ❗; warning ⚠️; no_entry ⛔; stop 🛑;
recycle ♻️; plus ➕; minus ➖; infinity ♾️; arrow_up ⬆️; arrow_down ⬇️; arrow_left ⬅️; arrow_right ➡️; red_circle 🔴; green_circle 🟢;
blue_circle 🔵; flag 🏁; white_flag 🏳️; speech 💬; thought 💭; zzz 💤; sos 🆘; new 🆕; cool 🆒; ok 🆗`)

func read(list string) (all []emoji) {
	for entry := range strings.SplitSeq(strings.ReplaceAll(list, "\n", " "), ";") {
		name, text, _ := strings.Cut(strings.TrimSpace(entry), " ")
		all = append(all, emoji{name, text})
	}
	return all
}

// emojiNamed returns the emoji whose names have a part, those that begin with it first.
func emojiNamed(part string) (list []emoji) {
	part = strings.ToLower(part)
	for _, e := range emojis {
		if strings.HasPrefix(e.name, part) {
			list = append(list, e)
		}
	}
	for _, e := range emojis {
		if part != "" && strings.Contains(e.name, part) && !strings.HasPrefix(e.name, part) {
			list = append(list, e)
		}
	}
	return list
}

// emojiFor returns what a name between colons, or the beginning of it, may become.
func emojiFor(name string) (list []string) {
	closed := strings.HasSuffix(name, ":")
	name = strings.TrimSuffix(name, ":")
	for _, e := range emojiNamed(name) {
		if !closed || e.name == name {
			list = append(list, e.text)
		}
	}
	return list
}
