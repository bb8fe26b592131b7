"""The words of the built-in corpus, English and Portuguese: tables for built_in_corpus.py.

A line "heading = entry, entry" goes on below, indented. Forms that no rule gives are written out,
a/b/c; "-" is a form that does not exist.
"""

# kind = English singular/plural, Portuguese singular/plural, gender
NOUN_TABLE = """
person = man/men homem m, woman/women mulher f, boy menino m, girl menina f, king rei m
    child/children criança f, baby bebê m, student aluno m, teacher professora f, doctor médico m
    nurse enfermeira f, farmer fazendeiro m, lawyer advogada f, driver motorista m, queen rainha f
    singer cantora f, captain capitão/capitães m, writer escritora f, waiter garçom m
    actress atriz f, painter pintor m
relative = brother irmão/irmãos m, sister irmã f, son filho m, daughter filha f, friend amigo m
    uncle tio m, aunt tia f, cousin primo m, neighbor vizinha f, mother/- mãe f, father/- pai m
    nephew sobrinho m, niece sobrinha f, grandmother/- avó f, grandfather/- avô m
name = Maria/- Maria f, Ana/- Ana f, Helena/- Helena f, Clara/- Clara f, Pedro/- Pedro m
    Paulo/- Paulo m, Lucas/- Lucas m, Bruno/- Bruno m, João/- João m
animal = dog cachorro m, cat gato m, horse cavalo m, cow vaca f, bird pássaro m, lion leão m
    mouse/mice rato m, rabbit coelho m, fox raposa f, monkey macaco m, goat cabra f, duck pato m
    wolf/wolves lobo m, turtle tartaruga f, animal animal m
fruit = apple maçã f, orange laranja f, egg ovo m, cake bolo m, potato batata f, lemon limão m
    sandwich sanduíche m, loaf/loaves pão/pães m, pear pera f, tomato tomate m
    strawberry morango m
grocery = rice/- arroz m, cheese/- queijo m, meat/- carne f, soup/- sopa f, honey/- mel m
drink = water/- água f, milk/- leite m, coffee/- café m, tea/- chá m, juice/- suco m
    wine/- vinho m, beer/- cerveja f
thing = key chave f, clock relógio m, knife/knives faca f, phone telefone m, spoon colher f
    computer computador m, bottle garrafa f, cup xícara f, plate prato m, bag bolsa f, ball bola f
    toy brinquedo m, flower flor f, pencil lápis/lápis m, pen caneta f, mirror espelho m
    ring anel/anéis m, umbrella guarda-chuva m, basket cesta f
furniture = table mesa f, chair cadeira f, bed cama f, sofa sofá m, shelf/shelves estante f
opening = door porta f, window janela f, gate portão m
text = book livro m, letter carta f, message mensagem f, newspaper jornal m, magazine revista f
    poem poema m, story história f, song canção f
clothes = shirt camisa f, dress vestido m, hat chapéu m, skirt saia f, coat casaco m
    shoe sapato m, scarf/scarves cachecol/cachecóis m, tie gravata f
vehicle = car carro m, truck caminhão m, bus ônibus/ônibus m, taxi táxi m
    motorcycle motocicleta f
instrument = guitar violão m, piano/pianos piano m, flute flauta f, violin violino m
    drum tambor m
subject = Portuguese/- português m, English/- inglês m, mathematics/- matemática f
    music/- música f, chemistry/- química f
room = kitchen cozinha f, bedroom quarto m, garden jardim m, yard quintal m
city = city cidade f, village aldeia f, castle castelo m, house casa f, building prédio m
    country país/países m, forest floresta f, park parque m
site = school escola f, hospital hospital m, hotel hotel/hotéis m, airport aeroporto m
    station estação f, beach praia f, market mercado m, library biblioteca f, church igreja f
    restaurant restaurante m, museum museu m, office escritório m, factory fábrica f, store loja f
"""
GROUPS = {  # names for several kinds at once
    "human": "person relative name",
    "food": "fruit grocery drink",
    "goods": "thing furniture text clothes vehicle instrument",
    "place": "city site",
}

# group = English singular/plural, Portuguese m. sg./f. sg./m. pl./f. pl., what follows the noun
DETERMINER_TABLE = """
definite = the o/a/os/as, this/these este/esta/estes/estas
    that/those aquele/aquela/aqueles/aquelas
possessive = my meu/minha/meus/minhas, your seu/sua/seus/suas, our nosso/nossa/nossos/nossas
    his o/a/os/as dele, her o/a/os/as dela
indefinite = a/- um/uma/-/-
quantity = -/many -/-/muitos/muitas, -/several -/-/vários/várias, -/two -/-/dois/duas, -/three três
    -/four quatro, -/five cinco, -/six seis, -/seven sete, -/eight oito, -/nine nove, -/ten dez
    -/eleven onze, -/twelve doze, another/- outro/outra/-/-
interrogative = -/how_many -/-/quantos/quantas
"""
# kinds = groups of determiners
DETERMINATION_TABLE = """
animal fruit goods opening = definite possessive indefinite quantity interrogative
person = definite indefinite quantity
room place = definite indefinite
grocery drink = definite possessive bare
relative = possessive
name = proper
subject = bare
"""

# copula, kinds = English, Portuguese m. sg. | singular/plural | m. sg./f. sg./m. pl./f. pl.
ADJECTIVE_TABLE = """
ser human = tall alto, intelligent inteligente, young jovem, strong forte, kind gentil/gentis
    famous famoso, rich rico, poor pobre, brave corajoso, funny engraçado, shy tímido
    lazy preguiçoso
estar human = tired cansado, sad triste, happy feliz, sick doente, busy ocupado, angry irritado
    nervous nervoso, worried preocupado
ser animal thing furniture clothes vehicle = black preto, white branco, brown marrom
ser animal thing furniture vehicle place = big grande, small pequeno
ser animal = fast rápido, dangerous perigoso, wild selvagem
ser thing opening clothes vehicle = red vermelho, blue azul, green verde, yellow amarelo
ser goods = expensive caro, cheap barato, old velho, new novo
    German alemão/alemã/alemães/alemãs, French francês/francesa/franceses/francesas
ser text = good bom/boa/bons/boas, bad ruim, interesting interessante, long longo, short curto
    easy fácil/fáceis, difficult difícil/difíceis, important importante
estar food = good bom/boa/bons/boas, bad ruim, cold frio, delicious delicioso
estar thing furniture clothes vehicle room = dirty sujo, clean limpo
estar site = open aberto, closed fechado
ser place room = quiet tranquilo, beautiful bonito, modern moderno
"""

# aspect | subjects | preposition/preposition:complements = base/past/-ing/third person, infinitive
VERB_TABLE = """
event | human animal | :fruit = eat/ate comer
event | human | :drink = drink/drank beber
event | human | :food = prepare preparar
event | human | :goods food = buy/bought comprar, sell/sold vender
event | human | :thing text clothes = lose/lost perder, find/found encontrar, hide/hid esconder
    choose/chose escolher, carry carregar, bring/brought trazer
event | human | :furniture vehicle instrument = repair consertar, break/broke quebrar
event | human | :clothes vehicle = wash lavar
event | human | :room furniture opening = clean limpar, paint pintar
event | human | :opening = open abrir, close fechar
event | human | :text = write/wrote escrever, translate traduzir
event | human | :clothes = wear/wore usar
event | human | :vehicle = drive/drove dirigir
event | human | :instrument = play tocar
event | human | :subject = study estudar, teach/taught ensinar
event | human | :human animal = help ajudar, call chamar, watch observar, follow seguir
    hug/hugged/hugging abraçar
event | human | :human = invite convidar, kiss beijar
event | human | /a:human = thank agradecer
event | human animal | :human animal vehicle = see/saw/- ver, hear/heard/- ouvir
event | human | :place = visit visitar
event | human | to/a:place room = go/went ir, return voltar
event | human vehicle | at/a:site = arrive chegar
event | human | at/em:site = work trabalhar
event | human | with/com:human = talk conversar, travel viajar, dance dançar
event | human animal | through/por:place = walk caminhar, run/ran/running correr
event | human animal | = sleep/slept dormir, swim/swam/swimming nadar, rest descansar
    jump pular
event | human | = smile sorrir, cry chorar, sing/sang cantar, shout gritar
event | human | for/:human vehicle = wait esperar
event | human | for/:human animal thing text = look procurar
event | human | :thing text; to/a:human = give/gave dar, show mostrar, send/sent enviar
    lend/lent emprestar, offer oferecer
event | human | about/sobre:human place text = speak/spoke falar
event | human | about/com:human animal place = dream sonhar
event | human | to/:action = try tentar, decide/decided/- decidir, promise/promised/- prometer
event | human | to/a:action = learn aprender, begin/began/- começar
event | human | that/que:clause = say/said/- dizer, discover/discovered/- descobrir
    explain explicar
state | human | that/que:clause = know/knew saber
state | human | :human place = know/knew conhecer, love amar
state | human | :goods animal = have/had/having/has ter
state | human | :goods food = want querer, prefer/preferred preferir
state | human | /de:goods food = like gostar, need precisar
state | human | to/:action = want querer, need precisar
state | human | to/de:action = like gostar
state | human | in/em:city = live morar
stage | thing text clothes | on/em_cima_de:furniture = be estar
stage | thing text clothes | under/embaixo_de:furniture = be estar
stage | thing text clothes | behind/atrás_de:furniture opening = be estar
stage | thing text clothes | next_to/ao_lado_de:furniture opening = be estar
stage | thing text clothes | in/em:room = be estar
stage | human animal vehicle | in/em:city = be estar
stage | human animal vehicle | at/em:site = be estar
stage | human animal vehicle | near/perto_de:place = be estar
stage | human animal vehicle | behind/atrás_de:site = be estar
stage | human animal vehicle | in_front_of/na_frente_de:site = be estar
"""

# tenses = when
TIME_TABLE = """
past = yesterday/ontem, last_night/ontem_à_noite, last_week/na_semana_passada
    last_month/no_mês_passado, last_year/no_ano_passado
future = tomorrow/amanhã, next_week/na_próxima_semana, next_month/no_próximo_mês
    next_year/no_próximo_ano
past future = on_Monday/na_segunda-feira, on_Tuesday/na_terça-feira, on_Friday/na_sexta-feira
    on_Saturday/no_sábado, in_January/em_janeiro, in_March/em_março, in_May/em_maio
    in_July/em_julho, in_August/em_agosto, in_October/em_outubro, in_December/em_dezembro
present = every_day/todos_os_dias, every_week/todas_as_semanas, on_Sundays/aos_domingos
    every_morning/todas_as_manhãs, every_night/todas_as_noites
progressive = now/agora, at_the_moment/no_momento
"""

# tense = Portuguese infinitive, the forms for eu/ele/nós/eles
IRREGULAR_VERB_TABLE = """
present = ser sou/é/somos/são, estar estou/está/estamos/estão, ir vou/vai/vamos/vão, haver há
    ter tenho/tem/temos/têm, querer quero/quer/queremos/querem, dar dou/dá/damos/dão
    ver vejo/vê/vemos/veem, ouvir ouço/ouve/ouvimos/ouvem
    sorrir sorrio/sorri/sorrimos/sorriem, dormir durmo/dorme/dormimos/dormem
    perder perco/perde/perdemos/perdem, trazer trago/traz/trazemos/trazem
    traduzir traduzo/traduz/traduzimos/traduzem, seguir sigo/segue/seguimos/seguem
    preferir prefiro/prefere/preferimos/preferem, dizer digo/diz/dizemos/dizem
    saber sei/sabe/sabemos/sabem, descobrir descubro/descobre/descobrimos/descobrem
past = ir fui/foi/fomos/foram, dar dei/deu/demos/deram, ver vi/viu/vimos/viram
    trazer trouxe/trouxe/trouxemos/trouxeram
    dizer disse/disse/dissemos/disseram
imperfect = ser era/era/éramos/eram, ter tinha/tinha/tínhamos/tinham, haver havia
future = ir irei/irá/iremos/irão
"""

# preposition = word after it/both in one
CONTRACTION_TABLE = """
em = o/no, a/na, os/nos, as/nas, este/neste, esta/nesta, estes/nestes, estas/nestas
    aquele/naquele, aquela/naquela, aqueles/naqueles, aquelas/naquelas
de = o/do, a/da, os/dos, as/das, este/deste, esta/desta, estes/destes, estas/destas
    aquele/daquele, aquela/daquela, aqueles/daqueles, aquelas/daquelas
a = o/ao, a/à, os/aos, as/às, aquele/àquele, aquela/àquela, aqueles/àqueles, aquelas/àquelas
por = o/pelo, a/pela, os/pelos, as/pelas
"""
